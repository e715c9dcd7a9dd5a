"""Folders from the world to `Capture`."""

from piavas.capture.gravity import align_to_gravity
from piavas.capture.load import READERS, Reader, load_capture
from piavas.capture.scale import (
    metres_from_camera_height,
    metres_from_length,
    rescale,
    rescale_as,
)
from piavas.capture.types import Capture, Frame, Intrinsics, Recording
from piavas.capture.vet import like_mesh, vet
from piavas.capture.write import write_nerfstudio

__all__ = [
    "READERS",
    "Capture",
    "Frame",
    "Intrinsics",
    "Reader",
    "Recording",
    "align_to_gravity",
    "like_mesh",
    "load_capture",
    "metres_from_camera_height",
    "metres_from_length",
    "rescale",
    "rescale_as",
    "vet",
    "write_nerfstudio",
]
