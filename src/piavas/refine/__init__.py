"""Simulated to recorded-sounding audio by flow matching."""
