"""How a detector is fitted: optimizer, selection of the epoch, resuming."""
