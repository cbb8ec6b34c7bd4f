"""Whether the label can be told without listening: cues, duplicates, overlap."""
