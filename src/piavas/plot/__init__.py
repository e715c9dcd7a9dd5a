"""Figures of rooms and responses: one call each, light or dark, no state of pyplot.

Every function returns a `Plot`, a matplotlib figure that shows itself in a notebook; its axes are
`plot.axes`, and `plot.savefig(path)` keeps its colours. Importing this package imports matplotlib.
"""

from piavas.plot.decays import decay, decay_curves
from piavas.plot.directions import directions
from piavas.plot.dollhouse import mesh_picture
from piavas.plot.echograms import EarlyPath, early_paths, echogram
from piavas.plot.fields import field_map, field_values
from piavas.plot.maps import room_map
from piavas.plot.spectra import spectrogram
from piavas.plot.style import Plot

__all__ = [
    "EarlyPath",
    "Plot",
    "decay",
    "decay_curves",
    "directions",
    "early_paths",
    "echogram",
    "field_map",
    "field_values",
    "mesh_picture",
    "room_map",
    "spectrogram",
]
