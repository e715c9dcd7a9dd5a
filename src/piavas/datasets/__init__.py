"""Data sets of the field: strict readers, writers of the same layouts, checks and protocols."""

from piavas.datasets.alignment import Alignment, to_capture
from piavas.datasets.checks import Check, Finding
from piavas.datasets.protocols import Protocol, few_shot
from piavas.datasets.raf import check_raf, load_raf, write_raf
from piavas.datasets.rirset import Response, RirSet, check_rirs, load_rirs, write_rirs
from piavas.datasets.rwavs import Video, load_rwavs
from piavas.datasets.rwavs_check import check_rwavs
from piavas.datasets.rwavs_write import NewVideo, write_rwavs
from piavas.datasets.similarity import Similarity

__all__ = [
    "Alignment",
    "Check",
    "Finding",
    "NewVideo",
    "Protocol",
    "Response",
    "RirSet",
    "Similarity",
    "Video",
    "check_raf",
    "check_rirs",
    "check_rwavs",
    "few_shot",
    "load_raf",
    "load_rirs",
    "load_rwavs",
    "to_capture",
    "write_raf",
    "write_rirs",
    "write_rwavs",
]
