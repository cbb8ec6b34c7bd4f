"""Recordings become clips, clips become waveform batches."""
