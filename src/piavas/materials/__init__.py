"""Mesh and labels to a `Scene` of acoustic materials."""

from piavas.materials.assign import assign_materials
from piavas.materials.files import load_scene, save_scene
from piavas.materials.table import load_table

__all__ = ["assign_materials", "load_scene", "load_table", "save_scene"]
