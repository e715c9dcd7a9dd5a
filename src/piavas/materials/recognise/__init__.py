"""Recognisers: what tells materials from pictures, behind one Protocol."""

from piavas.materials.recognise.classifier import Classifier
from piavas.materials.recognise.labels import LabelImages
from piavas.materials.recognise.types import Guess, Recogniser, Room, View

__all__ = ["Classifier", "Guess", "LabelImages", "Recogniser", "Room", "View"]
