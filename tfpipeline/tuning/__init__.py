"""Searches for better settings: the space, the trials, the algorithms, and what is shown."""
