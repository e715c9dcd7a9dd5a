"""Rooms that were measured, from files kept outside the package, and the engine held to them."""

from piavas.measured.rooms import BrasRoom, Dechorate, load_bras, load_dechorate

__all__ = ["BrasRoom", "Dechorate", "load_bras", "load_dechorate"]
