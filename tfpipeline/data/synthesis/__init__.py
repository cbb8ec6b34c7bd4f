"""Makers of synthetic speech: each turns a human recording into its spoofed copy."""
