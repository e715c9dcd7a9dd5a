"""What is heard where: a room parameter over the listeners, as a colour field from above."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from piavas.errors import DataError
from piavas.evaluate.rooms import UNITS, room_metrics
from piavas.listen.tables import AT_10_M, strength
from piavas.plot.maps import draw_section, draw_sources, map_size, section
from piavas.plot.style import Plot, band_name, colorbar, themed
from piavas.scene import ImpulseResponses, Mesh, Scene

Array = NDArray[np.float64]
PIXELS = 480  # along the longer side
REACH = 0.51  # spacings between listeners that the value of one reaches along x and y
TO_WALL = 1.05  # of them where walls end it
MARKED = 150  # listeners up to which each is marked
LABELS = {
    "level": "level re free field at 1 m (dB)",
    "G": "strength G (dB)",
    **{name: f"{name} ({unit})" if unit else name for name, unit in UNITS.items()},
}


def field_values(irs: ImpulseResponses, quantity: str = "level", band: float = 1000.0) -> Array:
    """A room parameter at every listener, `[listener]`; NaN where a response does not reach it.

    Of two ears the mean is taken (of their energies for levels), of ambisonic responses W.

    Args:
        irs: responses.
        quantity: "level" (decibels re the free field at 1 m), "G", or one of `room_metrics`.
        band: nominal octave centre in hertz, 0 for broadband.

    Raises:
        DataError: no such quantity.
    """
    if quantity not in LABELS:
        raise DataError(
            f"no quantity {quantity!r}", field="quantity", mend=f"choose of {', '.join(LABELS)}"
        )
    heard = irs.samples[:, : 2 if irs.output == "binaural" else 1]
    if quantity in ("level", "G"):
        energy = 10 ** (strength(heard, irs.sample_rate, [band])[..., 0] / 10)
        with np.errstate(divide="ignore"):
            level = 10 * np.log10(energy.mean(axis=1))
        return np.asarray(level - (AT_10_M if quantity == "level" else 0.0))
    bands = [band] if band else []
    found = room_metrics(heard, irs.sample_rate, bands=bands, broadband=not band)
    return np.asarray(found[quantity][..., 0].mean(axis=1))


def field_map(
    irs: ImpulseResponses,
    quantity: str | ArrayLike = "level",
    *,
    band: float = 1000.0,
    mesh: Mesh | Scene | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "",
    dark: bool | None = None,
) -> Plot:
    """The room from above, every place in the colour of the nearest listener's value.

    Args:
        irs: responses at listeners of about one height, best on a grid.
        quantity: as in `field_values`; or values `[listener]` of your own.
        band: nominal octave centre in hertz, 0 for broadband.
        mesh: the room: its outline is drawn, and nothing is coloured outside of it.
        limits: ends of the colour scale; None takes those of the values.
        label: of the colour scale, for values of your own.
        dark: dark ground; None follows matplotlib's settings.

    Raises:
        DataError: no such quantity, or not one value a listener.
    """
    if isinstance(quantity, str):
        values = field_values(irs, quantity, band)
        label = label or f"{LABELS[quantity]}, {_where(band)}"
    else:
        values = np.asarray(quantity, dtype=np.float64)
    if values.shape != (len(irs),):
        raise DataError(
            f"{values.shape} values for {len(irs)} listeners",
            field="quantity",
            mend="give one each",
        )
    places = irs.listeners[:, :3, 3]
    with themed(dark) as theme:
        image, extent = _raster(places, values, mesh)
        corners = np.array([extent[::2], extent[1::2]])
        if mesh is not None:
            corners = np.array([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)])[:, :2]
        figure = Plot(figsize=map_size(corners, 1.8, 3.6), layout="compressed")
        ax = figure.subplots()
        low, high = limits or (None, None)
        drawn = ax.imshow(
            image, origin="lower", extent=extent, vmin=low, vmax=high, interpolation="nearest"
        )
        if mesh is not None:
            draw_section(ax, mesh, [irs.listeners], theme)
        if len(places) <= MARKED:
            ax.scatter(places[:, 0], places[:, 1], s=5, color="white", alpha=0.6, linewidths=0)
        draw_sources(ax, {"source": irs.source}, theme)
        pad = 0.02 * np.ptp(corners, axis=0).max()
        ax.set(
            xlabel="x (m)",
            ylabel="y (m)",
            aspect="equal",
            xlim=(corners[0, 0] - pad, corners[1, 0] + pad),
            ylim=(corners[0, 1] - pad, corners[1, 1] + pad),
        )
        colorbar(figure, drawn, ax, label, theme)
    return figure


def _where(band: float) -> str:
    return f"{band_name(band)} octave" if band else "broadband"


def _raster(
    places: Array, values: Array, mesh: Mesh | Scene | None
) -> tuple[Array, tuple[float, float, float, float]]:
    """Values of the nearest listener `[row, column]`, NaN outside, and the extent in metres."""
    tree = cKDTree(places[:, :2])
    spacing = float(np.median(tree.query(places[:, :2], k=2)[0][:, 1])) if len(places) > 1 else 1.0
    margin = spacing * (REACH if mesh is None else TO_WALL)
    low, high = places[:, :2].min(axis=0) - margin, places[:, :2].max(axis=0) + margin
    if mesh is not None:
        low = np.maximum(low, mesh.vertices[:, :2].min(axis=0))
        high = np.minimum(high, mesh.vertices[:, :2].max(axis=0))
    step = float((high - low).max()) / PIXELS
    x, y = (np.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True))
    pixels = np.stack(np.meshgrid(x, y), axis=-1)
    _, nearest = tree.query(pixels, k=1)
    away = np.abs(pixels - places[nearest, :2]).max(axis=-1)
    image = np.where(away <= margin, values[nearest], np.nan)
    if mesh is not None:
        image[~inside(mesh, x, y, float(places[:, 2].mean()))] = np.nan
    return image, (
        float(low[0]),
        float(low[0]) + len(x) * step,
        float(low[1]),
        float(low[1]) + len(y) * step,
    )


def inside(mesh: Mesh | Scene, x: Array, y: Array, height: float) -> NDArray[np.bool_]:
    """Whether points `[y, x]` at `height` lie in the air: by how often a line crosses the section.

    Lines that cross an open mesh an odd number of times say nothing: their points count as inside.
    """
    lines = section(mesh.vertices, mesh.faces, height + 1e-3)
    found = np.ones((len(y), len(x)), np.bool_)
    for row, level in enumerate(y + 1e-6):
        a, b = lines[:, 0], lines[:, 1]
        cut = (a[:, 1] > level) != (b[:, 1] > level)
        share = (level - a[cut, 1]) / (b[cut, 1] - a[cut, 1])
        crossings = np.sort(a[cut, 0] + share * (b[cut, 0] - a[cut, 0]))
        if len(crossings) % 2 == 0:
            found[row] = np.searchsorted(crossings, x) % 2 == 1
    return found
