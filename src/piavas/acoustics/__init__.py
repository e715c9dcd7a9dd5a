"""`Scene`, source and listeners to impulse responses: direct + early specular + late = response."""

from piavas.acoustics.hrtf import Hrtf, load_hrtf
from piavas.acoustics.simulator import Simulator
from piavas.acoustics.stream import load_responses

__all__ = ["Hrtf", "Simulator", "load_hrtf", "load_responses"]
