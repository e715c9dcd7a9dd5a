"""π-AVAS: hear any place of a room that a camera has seen."""

__version__ = "0.1.0"
