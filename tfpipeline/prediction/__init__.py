"""From files to verdicts: inputs, scorers, rows, explanations."""
