"""Dry audio through impulse responses, for still and moving heads."""
