"""The rooms and the page that tests of the listening page share."""

from __future__ import annotations

import numpy as np

from piavas.listen.page import Page
from piavas.scene import Material, Scene
from rooms import two_rooms

SOURCE = (1.0, 3.0, 1.4)
OTHER = (6.0, 1.0, 1.4)
QUICK = Page(title="Zwei Räume", spacing=1.2, rays=1500, duration=0.35, hrtf="rigid-sphere")


def plastered_rooms() -> Scene:
    """Two rooms with a doorway of 2.6 < y < 3.6 in the wall at x = 4 to 4.2, little scattering."""
    world = two_rooms()
    plaster = Material("Putz für Wände", np.full(9, 0.3), np.full(9, 0.02))
    return Scene(world.vertices, world.faces, np.zeros(len(world.faces), int), (plaster,))
