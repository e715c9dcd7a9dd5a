"""Generated worlds with known truth, their captures, and recordings of hidden physics."""

from piavas.twin.generate import generate_capture
from piavas.twin.music import music_like
from piavas.twin.record import record
from piavas.twin.speech import speech_like
from piavas.twin.world import World, load_world, make_world

__all__ = [
    "World",
    "generate_capture",
    "load_world",
    "make_world",
    "music_like",
    "record",
    "speech_like",
]
