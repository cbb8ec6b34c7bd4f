"""How a detector is fitted, and the run folder that holds what comes of it."""
