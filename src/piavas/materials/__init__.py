"""Mesh and pictures to a `Scene` of acoustic materials."""

from piavas.materials.assign import Assignment, assign, assign_materials
from piavas.materials.carried import carry
from piavas.materials.faces import FaceMaterials, load_face_materials
from piavas.materials.files import load_scene, read_corrections, save_scene
from piavas.materials.parts import Parts, load_parts
from piavas.materials.recognition import Recognition, recognise_faces
from piavas.materials.table import load_table
from piavas.materials.vocabulary import Vocabulary, load_vocabulary

__all__ = [
    "Assignment",
    "FaceMaterials",
    "Parts",
    "Recognition",
    "Vocabulary",
    "assign",
    "assign_materials",
    "carry",
    "load_face_materials",
    "load_parts",
    "load_scene",
    "load_table",
    "load_vocabulary",
    "read_corrections",
    "recognise_faces",
    "save_scene",
]
