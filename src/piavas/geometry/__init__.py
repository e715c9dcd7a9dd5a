"""`Capture` to a closed mesh of the air in the room."""

from piavas.geometry.files import load_mesh, save_mesh
from piavas.geometry.reconstruct import reconstruct
from piavas.geometry.scan import clean_scan

__all__ = ["clean_scan", "load_mesh", "reconstruct", "save_mesh"]
