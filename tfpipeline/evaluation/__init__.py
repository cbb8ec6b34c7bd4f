"""How well scores tell the classes apart: score tables, metrics, calibration, pictures."""
