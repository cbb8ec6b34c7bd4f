"""How well scores tell the classes apart: numbers only. Score tables, metrics, calibration."""
