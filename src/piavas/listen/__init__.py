"""Responses and audio in the forms that other tools read."""

from piavas.listen.gltf import export_gltf
from piavas.listen.sofa import export_sofa, import_sofa
from piavas.listen.tables import export_table, room_table, strength
from piavas.listen.wav import export_ambix, export_wavs

__all__ = [
    "export_ambix",
    "export_gltf",
    "export_sofa",
    "export_table",
    "export_wavs",
    "import_sofa",
    "room_table",
    "strength",
]
