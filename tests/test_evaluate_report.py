"""The report: self-contained, safe, whole, and honest about what it lacks."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from piavas.errors import AudioError, DataError
from piavas.evaluate import (
    Example,
    Picture,
    ReportData,
    RoomComparison,
    RoomMap,
    compare,
    evaluate,
    room_metrics,
    write_report,
)
from piavas.evaluate.bootstrap import Interval
from piavas.evaluate.embed import audio_uri, picture_uri, play_rate, safe_gain
from piavas.evaluate.page import measured_rooms, number, render, room_table, signed, verdict
from piavas.plot import decay_curves, mesh_picture, room_map, spectrogram
from piavas.plot.dollhouse import draw_triangles
from piavas.plot.maps import section
from piavas.plot.spectra import power_db
from piavas.plot.style import to_png, to_svg
from piavas.scene import Pose, Scene

RATE = 22_050
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting and gathers ids, links and what an element loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.loads: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.elements.append((tag, values))
        if values.get("id"):
            self.ids.append(values["id"])
        for key in ("src", "href", "xlink:href", "data", "srcset"):
            if values.get(key):
                (self.anchors if values[key].startswith("#") else self.loads).append(values[key])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def example(name: str = "clip & <one>", seed: int = 0, rate: int = RATE) -> Example:
    rng = np.random.default_rng(seed)
    dry = rng.standard_normal(rate // 2) * 0.2
    wet = rng.standard_normal((3, 2, rate // 2)) * np.array([0.1, 0.2, 0.6])[:, None, None]
    decay = np.exp(-np.arange(rate // 2) / rate * 20)
    responses = rng.standard_normal((2, 2, rate // 2)) * decay
    return Example(
        name, rate, dry, *wet, simulated_response=responses[0], recorded_response=responses[1]
    )


@pytest.fixture(scope="module")
def data() -> ReportData:
    rng = np.random.default_rng(1)
    recorded = {f"c{i}": rng.standard_normal((2, 4000)) * 0.1 for i in range(5)}
    physics = {n: 0.5 * s for n, s in recorded.items()}
    refined = {n: 0.8 * s for n, s in recorded.items()}
    poses = np.stack([Pose.at((1 + i, 2, 1.5), yaw=40 * i).matrix for i in range(4)])
    return ReportData(
        "A room & its <sound>",
        statements=("The recordings are synthetic.",),
        tables={"Mono-Mono": evaluate({n: 0 * s + 0.1 for n, s in recorded.items()}, recorded)},
        comparison=compare(physics, refined, recorded, protocol="RWAVS-Gen"),
        room_map=RoomMap(
            {"A $x$": np.array([1.0, 1.0, 1.0]), "B": np.array([1.2, 1.1, 1.0])},
            Scene.shoebox((6, 4, 3)),
            poses[:2],
            poses[2:],
        ),
        examples=(example(), example("clip two", 2)),
        pictures=(Picture(np.full((60, 900, 3), 128, np.uint8), "a frame"),),
        provenance={"Options": {"seed": 0}},
        timings={"simulate": 2.5, "train": 10.0},
    )


@pytest.fixture(scope="module")
def text(data) -> str:
    return render(data)


def test_the_page_is_well_formed_and_loads_nothing(text) -> None:
    page = Page(text)
    assert page.loads
    assert all(load.startswith("data:") for load in page.loads)
    assert len(page.ids) == len(set(page.ids))
    assert {a[1:] for a in page.anchors} <= set(page.ids)
    assert "@import" not in text
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_text_of_callers_is_escaped(text) -> None:
    assert "A room &amp; its &lt;sound&gt;" in text
    assert "clip &amp; &lt;one&gt;" in text
    assert "<sound>" not in text
    assert "<one>" not in text


def test_every_part_is_there(text) -> None:
    for anchor in ("metrics", "map", "clips", "decay", "rooms", "capture", "provenance"):
        assert f'<h2 id="{anchor}">' in text
    assert "The recordings are synthetic." in text
    assert "better in MAG" in text
    assert "not measured: no impulse responses given" in text
    assert "RWAVS-Gen" in text
    assert text.count("<audio") == 8
    assert "broadband" in text


def test_the_page_is_accessible(text) -> None:
    page = Page(text)
    assert '<html lang="en">' in text
    for tag, values in page.elements:
        if tag == "img":
            assert values["alt"]
        if tag == "svg":
            assert values["role"] == "img"
            assert values["aria-label"]
        if tag == "audio":
            assert f'<label for="{values["id"]}">' in text
        if tag == "th":
            assert values.get("scope")
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1


def test_absent_parts_are_left_out(tmp_path) -> None:
    path = write_report(tmp_path / "bare.html", ReportData("Only a title"))
    bare = path.read_text()
    Page(bare)
    assert "<h2" not in bare
    assert "<audio" not in bare
    partial = render(
        ReportData("x", examples=(Example("one", RATE, recorded=np.full((2, 500), 0.1)),))
    )
    Page(partial)
    assert partial.count("<audio") == 1
    assert 'id="decay"' not in partial


def decoded(text: str) -> list[tuple[np.ndarray, int]]:
    found = re.findall(r"data:audio/flac;base64,([A-Za-z0-9+/=]+)", text)
    return [soundfile.read(io.BytesIO(base64.b64decode(f)), always_2d=True) for f in found]


def test_sound_keeps_its_relations_and_a_safe_level(data, text) -> None:
    played = decoded(text)
    assert len(played) == 8
    assert max(np.abs(samples).max() for samples, _ in played) <= 10 ** (-3 / 20)
    wet = [p for i, p in enumerate(played) if i % 4]
    signals = [s for e in data.examples for k, s in e.signals.items() if k != "dry"]
    gains = [np.std(p[0]) / np.std(s) for p, s in zip(wet, signals, strict=True)]
    np.testing.assert_allclose(gains, gains[0], rtol=1e-3)
    loudest = max(np.abs(p[0]).max() for p in wet)
    assert loudest == pytest.approx(10 ** (-6 / 20), abs=1e-3)


def test_high_rates_are_played_at_22_khz() -> None:
    assert [play_rate(r) for r in (16_000, 22_050, 48_000)] == [16_000, 22_050, 22_050]
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(4800) / 48_000)
    samples, rate = decoded(audio_uri(tone, 48_000, 1.0))[0]
    assert rate == 22_050
    assert np.std(samples) == pytest.approx(np.std(tone), rel=0.02)
    with pytest.raises(ValueError, match="dBFS"):
        audio_uri(tone, 48_000, 2.0)
    assert safe_gain([np.zeros(3)]) == 1.0


def test_six_examples_of_three_seconds_stay_below_eight_megabytes() -> None:
    """Steady pink noise at 48 kHz, which FLAC shortens less than speech or music."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.standard_normal((7, 3 * 48_000)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(1, spectrum.shape[-1] + 1)))
    one = Example("noise", 48_000, pink[0], pink[1:3], pink[3:5], pink[5:7])
    overhead = len(render(ReportData("x")))
    assert overhead + 6 * (len(render(ReportData("x", examples=(one,)))) - overhead) < 8e6


def test_the_page_is_the_same_for_the_same_data(data, text) -> None:
    assert render(data) == text


def test_a_failed_write_leaves_the_old_page(tmp_path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    bad = ReportData("x", pictures=(Picture(tmp_path / "none.png", "gone"),))
    with pytest.raises(DataError, match=r"none\.png.*no such file"):
        write_report(path, bad)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_bad_parts_are_named(tmp_path) -> None:
    with pytest.raises(AudioError, match=r"examples\['a'\]\.recorded.*1 channel"):
        Example("a", RATE, recorded=np.ones((1, 10)))
    with pytest.raises(AudioError, match=r"examples\['a'\]\.dry.*NaN"):
        Example("a", RATE, dry=np.full(10, np.nan))
    with pytest.raises(AudioError, match=r"examples\['a'\]\.simulated_response.*silent"):
        Example("a", RATE, simulated_response=np.zeros((2, 10)))
    with pytest.raises(DataError, match="no picture"):
        picture_uri(np.zeros((4, 4)))  # type: ignore[arg-type]
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(DataError, match=r"text\.png.*no picture"):
        picture_uri(tmp_path / "text.png")
    signals = {"a": np.full((2, 1000), 0.1)}
    with pytest.raises(DataError, match="different metric families: one avcloud, two avnerf"):
        ReportData(
            "x",
            tables={
                "one": evaluate(signals, signals, "avcloud"),
                "two": evaluate(signals, signals, "avnerf"),
            },
        )
    noise = np.random.default_rng(0).standard_normal((2, 8000))
    with pytest.raises(DataError, match="rooms"):
        RoomComparison(
            room_metrics(noise, 16_000, bands=[500]), room_metrics(noise, 16_000, bands=[1000])
        )


def test_room_table_counts_in_just_noticeable_differences() -> None:
    rate, k = 16_000, 6 * np.log(10)
    time = np.arange(rate) / rate
    curves = [np.exp(-0.5 * k * time / t) for t in (0.55, 0.50)]
    rooms = RoomComparison(*(room_metrics(c, rate, bands=[]) for c in curves))
    table = room_table(rooms)
    groups = {group["name"]: group for group in table["groups"]}
    assert groups["T30"]["error"][0] == ("0.0500", "2.0", "")  # 10 % of .5 s, a JND is 5 %
    assert groups["Ts"]["error"][0] == ("3.62", "0.36", "good")  # T / 13.8, a JND is 10 ms
    assert groups["T30"]["recorded"] == ["0.500"]
    assert measured_rooms([Example("a", RATE)]) is None
    assert table["places"] == 1


def test_verdicts_are_plain() -> None:
    assert verdict(Interval(-1, -2, -0.5, 9)) == ("good", "better")
    assert verdict(Interval(1, 0.5, 2, 9)) == ("bad", "worse")
    assert verdict(Interval(1, -0.5, 2, 9)) == ("open", "no clear difference")
    assert verdict(Interval(1, np.nan, np.nan, 1)) == ("open", "too few items")
    assert [number(v) for v in (0.6, 36.0, np.nan, np.inf, 12345.6, 0.0, -1.5, 3e-7)] == [
        "0.600",
        "36.0",
        "–",
        "∞",
        "12346",
        "0.00",
        "−1.50",
        "3.0e−07",
    ]
    assert [signed(v) for v in (0.5, -0.5)] == ["+0.500", "−0.500"]


def test_section_of_a_box_is_its_outline() -> None:
    box = Scene.shoebox((6, 4, 3))
    lines = section(box.vertices, box.faces, 1.3)
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1)
    assert length.sum() == pytest.approx(20)
    ends = lines.reshape(-1, 2)
    assert ends.min(axis=0) == pytest.approx([0, 0])
    assert ends.max(axis=0) == pytest.approx([6, 4])
    assert len(section(box.vertices, box.faces, 5.0)) == 0


def test_a_tone_stands_at_its_frequency_and_time() -> None:
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 3000 * time) * (time > 0.5)
    level, step = power_db(np.stack([tone, tone]), RATE)
    peak = np.unravel_index(np.argmax(level), level.shape)
    assert peak[0] * RATE / 2 / (level.shape[0] - 1) == pytest.approx(3000, abs=30)
    assert peak[1] * step > 0.45
    assert level[:, : int(0.45 / step)].max() < level.max() - 100


def test_triangles_hide_what_lies_behind() -> None:
    far = [[0, 0, 0], [8, 0, 0], [0, 8, 0]]
    near = [[0, 0, 1], [4, 0, 1], [0, 4, 1]]
    twin = np.full((8, 8), -1)
    for row in range(8):
        for column in range(8):
            total = column + row + 1
            twin[row, column] = 1 if total <= 4 else 0 if total <= 8 else -1
    for order in ([far, near], [near, far]):
        drawn = draw_triangles(np.array(order, dtype=float), 8, 8)
        expected = twin if order[0] is far else np.where(twin >= 0, 1 - twin, -1)
        np.testing.assert_array_equal(drawn, expected)


def test_figures_are_drawn_as_svg_and_png() -> None:
    noise = {"dry": np.ones((1, 100)), "recorded": np.random.default_rng(0).random((2, 3000))}
    for figure in (
        room_map({"A": np.array([1.0, 1.0, 1.0])}),
        spectrogram(noise, RATE),
        decay_curves({0.0: {"recorded": None}}),
        mesh_picture(Scene.shoebox((3, 2, 2)).mesh),
    ):
        assert to_svg(figure).count("<svg") == 1
        assert to_png(figure, dpi=40).startswith(b"\x89PNG")


def test_importing_the_package_does_not_import_matplotlib() -> None:
    code = (
        "import sys, piavas.evaluate; "
        "print([m for m in ('matplotlib', 'torch', 'mitsuba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
