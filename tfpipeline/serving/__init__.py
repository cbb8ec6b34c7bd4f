"""What leaves the project: signatures and exported graphs."""
