"""Mesh and labels to a `Scene` of acoustic materials."""
