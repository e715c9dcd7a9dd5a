"""`Scene` and recordings of the room to a `Scene` with fitted materials."""

from piavas.calibrate.fit import Calibration, calibrate
from piavas.calibrate.observe import Performance, RoomResponse
from piavas.calibrate.read import read_recordings

__all__ = ["Calibration", "Performance", "RoomResponse", "calibrate", "read_recordings"]
