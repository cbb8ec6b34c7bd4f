"""From waveforms to log-odds: the table of families, networks, classical models, their weights."""
