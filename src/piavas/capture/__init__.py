"""Folders from the world to `Capture`."""
