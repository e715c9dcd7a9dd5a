"""Figures: what they show is measured against closed forms, how they look against rules."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from piavas import plot
from piavas.acoustics.ambisonics import harmonics
from piavas.errors import DataError
from piavas.plot.directions import beam_energy
from piavas.plot.echograms import _spread
from piavas.plot.fields import field_values, inside
from piavas.plot.style import DARK, LIGHT
from piavas.scene import ImpulseResponses, Mesh, Pose, Scene
from rooms import two_rooms

RATE = 16_000
SPEED = 343.0
UNDER = 4  # pixels of a line of text that are left for letters which hang below it


def made(output: str, channels: int, places: list, t60: float = 0.4) -> ImpulseResponses:
    """A direct sound at its distance, then noise that decays."""
    generator = np.random.default_rng(1)
    source = np.array([1.0, 1.5, 1.2])
    time = np.arange(RATE // 2) / RATE
    samples = np.zeros((len(places), channels, len(time)))
    for i, place in enumerate(places):
        far = np.linalg.norm(np.asarray(place) - source)
        tail = 0.02 * generator.normal(size=(channels, len(time))) * 10 ** (-3 * time / t60)
        samples[i] = np.where(time > far / SPEED, tail, 0)
        samples[i, :, round(far / SPEED * RATE)] = 1 / far
    poses = [Pose.at(place, yaw=40).matrix for place in places]
    report = {"speed_of_sound": SPEED, "seed": 0}
    return ImpulseResponses(
        samples.astype(np.float32), RATE, output, source, np.stack(poses), report
    )


GRID = [(x, y, 1.5) for x in np.arange(0.5, 4, 0.5) for y in np.arange(0.5, 4, 0.5)]
ROOM = Scene.shoebox((4, 5, 3), absorption=0.2)


def long_names() -> Scene:
    """Materials with names as long as the table's."""
    names = [f"absorbent number {i} on battens" for i in range(len(ROOM.materials))]
    pairs = zip(ROOM.materials, names, strict=True)
    return ROOM.with_materials([replace(m, name=name) for m, name in pairs])


def figures(dark: bool) -> dict[str, Figure]:
    """One of every kind."""
    mono, ears = made("mono", 1, GRID), made("binaural", 2, [(3, 4, 1.5)])
    around = made("ambisonic-2", 9, [(3, 4, 1.5)])
    return {
        "level": plot.field_map(mono, mesh=ROOM, dark=dark),
        "T30": plot.field_map(mono, "T30", band=0, dark=dark),
        "own": plot.field_map(mono, np.arange(len(GRID)), label="rank", dark=dark),
        "decay": plot.decay(ears, dark=dark),
        "echogram": plot.echogram(ears, ROOM, dark=dark),
        "bare echogram": plot.echogram(ears, dark=dark),
        "spectrogram": plot.spectrogram(ears, dark=dark),
        "four spectrograms": plot.spectrogram(around, dark=dark),
        "directions": plot.directions(around, dark=dark),
        "map": plot.room_map({"A": mono.source}, mesh=ROOM, train=mono.listeners, dark=dark),
        "doll's house": plot.mesh_picture(ROOM, dark=dark),
        "long names": plot.mesh_picture(long_names(), dark=dark),
    }


@pytest.fixture(scope="module", params=[False, True], ids=["light", "dark"])
def every(request):
    """All figures of one mode."""
    return request.param, figures(request.param)


def brightness(color) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = np.array(mpl.colors.to_rgb(color))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def written(figure: Figure) -> list[Text]:
    """All text that is drawn; ticks beyond the ends of an axis are not."""
    FigureCanvasAgg(figure).draw()
    hidden = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not ax.axison or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [t for t in texts if t not in hidden and t.get_window_extent().width > 0]


def test_no_text_is_clipped(every):
    for name, figure in every[1].items():
        for text in written(figure):
            box = Text.get_window_extent(text)  # of an annotation without its line
            fits = box.x0 > -1.5 and box.y0 > -1.5
            fits &= box.x1 < figure.bbox.width + 1.5 and box.y1 < figure.bbox.height + 1.5
            assert fits, f"{name}: {text.get_text()!r} leaves the figure"


def test_no_two_texts_overlap(every):
    for name, figure in every[1].items():
        texts = [(t.get_text(), Text.get_window_extent(t)) for t in written(figure)]
        for i, (word, box) in enumerate(texts):
            for other, its in texts[i + 1 :]:
                across = min(box.x1, its.x1) - max(box.x0, its.x0)
                up = min(box.y1, its.y1) - max(box.y0, its.y0)
                assert across < 1.5 or up < UNDER, f"{name}: {word!r} over {other!r}"


def test_text_stands_out_from_its_ground(every):
    dark, named = every
    for name, figure in named.items():
        ground = brightness(figure.get_facecolor())
        assert (ground < 0.2) == dark
        for text in written(figure):
            low, high = sorted([brightness(text.get_color()), ground])
            assert (high + 0.05) / (low + 0.05) > 7, f"{name}: {text.get_text()!r}"


def test_a_figure_shows_and_saves_itself_in_its_colours(tmp_path):
    figure = plot.decay(made("mono", 1, GRID[:1]), dark=True)
    assert isinstance(figure, Figure)
    assert figure.axes
    shown = imread(io.BytesIO(figure._repr_png_()))
    figure.savefig(tmp_path / "a.png")
    for image in (shown, imread(tmp_path / "a.png")):
        np.testing.assert_allclose(image[2, 2, :3], mpl.colors.to_rgb(DARK.paper), atol=0.01)


def test_none_follows_the_settings_of_matplotlib():
    irs = made("mono", 1, GRID[:1])
    assert mpl.colors.to_hex(plot.decay(irs).get_facecolor()) == LIGHT.paper
    with mpl.rc_context({"figure.facecolor": "black"}):
        assert mpl.colors.to_hex(plot.decay(irs).get_facecolor()) == DARK.paper


def test_pyplot_is_left_alone():
    code = (
        "import sys, numpy as np; from piavas import plot;"
        "plot.decay(np.exp(-np.arange(8000) / 800), 16000)._repr_png_();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_level_field_is_that_of_the_free_field():
    """Lone impulses of 1/r: -20 log10 r at every listener and in every band."""
    irs = made("mono", 1, GRID)
    samples = np.where(irs.samples == irs.samples.max(axis=2, keepdims=True), irs.samples, 0)
    irs.samples[:] = samples
    far = np.linalg.norm(irs.listeners[:, :3, 3] - irs.source, axis=1)
    for band in (0.0, 500.0, 2000.0):
        np.testing.assert_allclose(field_values(irs, "level", band), -20 * np.log10(far), atol=1e-3)
    np.testing.assert_allclose(field_values(irs, "G", 0) - field_values(irs, "level", 0), 20)


def test_the_map_has_the_nearest_value_inside_and_nothing_outside():
    world = two_rooms()
    mesh = Mesh(world.vertices, world.faces)
    places = [(x, y, 1.5) for x in np.arange(0.5, 8, 0.5) for y in np.arange(0.5, 4, 0.5)]
    irs = made("mono", 1, places)
    values = np.arange(len(places), dtype=float)
    ax = plot.field_map(irs, values, mesh=mesh).axes[0]
    image = ax.images[0]
    left, right, bottom, top = image.get_extent()
    grid = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)

    def at(x, y):
        rows, columns = grid.shape
        return grid[
            int((y - bottom) / (top - bottom) * rows), int((x - left) / (right - left) * columns)
        ]

    for i, place in enumerate(places):
        x, y = place[0] + 0.1, place[1] - 0.1
        wall = 4 < x < 4.2 and not 2.6 < y < 3.6
        solid = wall or (world.cupboard[0][0] < x and world.cupboard[0][1] < y < 2.2)
        assert np.isnan(at(x, y)) if solid else at(x, y) == i
    assert np.isnan(at(4.1, 1.0))  # in the wall
    assert np.isfinite(at(4.1, 3.1))  # in the doorway


def test_inside_of_an_open_mesh_says_nothing_where_it_cannot_know():
    box = Scene.shoebox((4, 4, 3))
    x, y = np.array([-1.0, 2.0, 5.0]), np.array([2.0])
    np.testing.assert_array_equal(inside(box, x, y, 1.5), [[False, True, False]])
    wall_less = Mesh(box.vertices, box.faces[2:])  # without x = 0
    assert inside(wall_less, x, y, 1.5).all()


@pytest.mark.parametrize("quantity", ["T60", "loudness"])
def test_unknown_quantities_are_named(quantity):
    with pytest.raises(DataError, match=quantity):
        plot.field_map(made("mono", 1, GRID[:2]), quantity)


def test_early_paths_are_the_image_sources_and_know_their_walls():
    """Seven paths of order 0 and 1 in a box, by the image method on paper."""
    irs = made("mono", 1, [(3.0, 4.0, 1.5)])
    source, head = irs.source, irs.listeners[0, :3, 3]
    expected = {"direct": np.linalg.norm(head - source)}
    for name, axis, plane in (
        ("x0", 0, 0.0), ("x1", 0, 4.0), ("y0", 1, 0.0), ("y1", 1, 5.0), ("floor", 2, 0.0),
        ("ceiling", 2, 3.0),
    ):  # fmt: skip
        image = source.copy()
        image[axis] = 2 * plane - source[axis]
        expected[name] = np.linalg.norm(head - image)
    found = {path.name: path for path in plot.early_paths(irs, ROOM, order=1)}
    assert set(found) == set(expected)
    for name, far in expected.items():
        assert found[name].delay == pytest.approx(far / SPEED, abs=1e-6)
        loss = 0.0 if name == "direct" else 10 * np.log10(0.8 * 0.9)
        assert found[name].level == pytest.approx(-20 * np.log10(far) + loss, abs=0.05)


def test_labels_are_spread_without_leaving_or_changing_order():
    generator = np.random.default_rng(0)
    for count in (1, 5, 20):
        wanted = sorted(generator.beta(1, 4, count))
        got = _spread(wanted, 0.03)
        assert (np.diff(got) > 0.03 - 1e-9).all()
        assert min(got) >= 0
        assert max(got) <= 1
    assert _spread([0.1, 0.5, 0.9], 0.03) == pytest.approx([0.1, 0.5, 0.9])


@pytest.mark.parametrize("order", [1, 3, 5])
def test_a_beam_finds_a_plane_wave_and_its_energy(order):
    generator = np.random.default_rng(order)
    way = generator.normal(size=(500, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    sound = generator.normal(size=64)
    wave = harmonics(way[:1], order).T * sound
    energy = beam_energy(wave, way)
    assert energy[0] == pytest.approx((sound**2).sum())
    assert energy.argmax() == 0


def test_directions_of_two_ears_are_refused():
    with pytest.raises(DataError, match="no directions"):
        plot.directions(made("binaural", 2, GRID[:1]))
