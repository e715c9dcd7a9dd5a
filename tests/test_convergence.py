"""Errors are what they are said to be: their slope, their size, and what they allow to be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, norm

from piavas.acoustics import confidence
from piavas.acoustics.confidence import Confidence, energies
from piavas.acoustics.field import Room
from piavas.acoustics.gather import Balls, Places, gather
from piavas.acoustics.hearing import Pairs
from piavas.acoustics.hrtf import load_hrtf
from piavas.acoustics.simulator import Simulator
from piavas.scene import Directivity, Pose, Scene, Source, as_poses

C = 343.0
SIZE = np.array([6.0, 4.0, 3.0])
SOURCE, HEAD = np.array([1.0, 1.0, 1.5]), np.array([4.0, 2.5, 1.2])
PLAIN = Simulator(
    output="mono", air_absorption=False, speed_of_sound=C, duration=0.6, specular_order=0
)
FAMILY = 0.001  # chance that a right engine fails a family of tests


@pytest.fixture(scope="module")
def room() -> Room:
    scattering = np.linspace(0.1, 0.8, 9)
    absorption = np.linspace(0.15, 0.5, 9)
    return Room(Scene.shoebox(SIZE, absorption=absorption, scattering=scattering))


def traced(room: Room, **options) -> tuple[np.ndarray, Confidence]:
    """Traced energy `[9]` at the head, and its errors."""
    simulator = replace(PLAIN, **options)
    hearing = simulator.prepare(room, Pairs.of([Source(SOURCE)], as_poses(HEAD)))
    field = hearing.field(hearing.groups[0])
    (one,) = field.reaching(HEAD[None])
    found = energies(
        one, field.segments.share, duration=hearing.how.duration, speed=C, air=np.zeros(9)
    )
    return found.level.sum(axis=0), Confidence.of([found])


def holm(p: np.ndarray, family: float) -> bool:
    """Whether no hypothesis is rejected (Holm 1979)."""
    ordered = np.sort(p)
    return bool((ordered > family / np.arange(len(p), 0, -1)).all())


def test_error_falls_as_the_root_of_the_rays_and_is_what_is_said(room):
    numbers, runs = np.array([256, 1024, 4096]), 16
    spread, said = [], []
    for rays in numbers:
        found = [traced(room, rays=int(rays), seed=s) for s in range(runs)]
        levels = 10 * np.log10([energy for energy, _ in found])
        spread.append(levels.std(axis=0, ddof=1))
        said.append(np.sqrt(np.mean([errors.level[0] ** 2 for _, errors in found], axis=0)))
    spread, said = np.array(spread), np.array(said)
    slope = np.polyfit(np.log(numbers), np.log(np.sqrt((spread**2).mean(axis=1))), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.15)
    # The variance of 16 runs over the variance said has a chi² law with 15 degrees of freedom;
    # what is said is itself uncertain by a few per cent, for which the bounds leave room.
    ratio = (spread / said) ** 2
    low, high = chi2.ppf([FAMILY / 27, 1 - FAMILY / 27], runs - 1) / (runs - 1)
    assert (ratio > 0.8 * low).all()
    assert (ratio < 1.25 * high).all()


def images(reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Ways and orders of the image sources within `reach` metres (Allen & Berkley 1979)."""
    n = np.arange(-int(reach / 6) - 1, int(reach / 6) + 2)
    axes, orders = [], []
    for k in range(3):
        axes.append(np.concatenate([2 * n * SIZE[k] + SOURCE[k], 2 * n * SIZE[k] - SOURCE[k]]))
        orders.append(np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)]))
    at = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    order = sum(np.meshgrid(*orders, indexing="ij")).ravel()
    way = np.linalg.norm(at - HEAD, axis=1)
    return way[way < reach], order[way < reach]


def test_bands_agree_with_image_sources_within_their_own_errors():
    absorption = np.linspace(0.15, 0.5, 9)
    room = Room(Scene.shoebox(SIZE, absorption=absorption, scattering=0.0))
    way, order = images(0.6 * C)
    expected = ((1 - absorption) ** order[:, None] / way[:, None] ** 2)[order > 0].sum(axis=0)
    energy, errors = traced(room, rays=20_000)
    z = 10 * np.log10(energy / expected) / errors.level[0]
    assert holm(2 * norm.sf(np.abs(z)), FAMILY)
    assert errors.level.max() < 0.2  # so a bias of half a decibel would be found


def listener_traced(head: np.ndarray, rays: int, seed: int) -> np.ndarray:
    """Energy `[rays]` of diffuse walls of absorption .3, walked from the head, shadowless box."""
    generator = np.random.default_rng(seed)
    position, total, left = np.tile(head, (rays, 1)), np.zeros(rays), 1.0
    way = generator.normal(size=(rays, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    for _ in range(40):
        with np.errstate(divide="ignore"):
            reach = np.where(way > 0, (SIZE - position) / way, -position / way)
        wall = reach.argmin(axis=1)
        position = np.clip(position + reach.min(axis=1)[:, None] * way, 0, SIZE)
        normal = np.zeros_like(way)
        normal[np.arange(rays), wall] = -np.sign(way[np.arange(rays), wall])
        left *= 0.7
        to = SOURCE - position
        square = (to**2).sum(axis=1)
        total += left * 4 * ((to * normal).sum(axis=1) / np.sqrt(square)).clip(0) / square
        turn = generator.normal(size=(rays, 3))
        way = normal + turn / np.linalg.norm(turn, axis=1, keepdims=True)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
    return total


def test_bands_agree_with_a_walk_from_the_listener_within_their_errors():
    room = Room(Scene.shoebox(SIZE, absorption=0.3, scattering=1.0))
    twin = listener_traced(HEAD, 20_000, seed=5)
    energy, errors = traced(room, rays=20_000, duration=1.0)
    error = np.hypot(errors.level[0], 10 / np.log(10) * twin.std() / np.sqrt(20_000) / twin.mean())
    z = 10 * np.log10(energy / twin.mean()) / error
    assert holm(2 * norm.sf(np.abs(z)), FAMILY)


def test_rays_are_added_until_the_asked_errors_are_reached(room):
    simulator = replace(PLAIN, rays="auto", t30_error=0.05, level_error=0.3, specular_order=2)
    few = simulator(room.scene, SOURCE, HEAD).report
    many = replace(simulator, level_error=0.1)(room.scene, SOURCE, HEAD).report
    for report, limit in ((few, 0.3), (many, 0.1)):
        said = report["standard_error"]
        assert max(said["level_db"][1:7]) < 1.35 * limit  # errors of errors are a fifth
        assert said["t30"] < 1.35 * 0.05
    assert many["rays"] > 2 * few["rays"]
    again = simulator(room.scene, SOURCE, HEAD)
    np.testing.assert_array_equal(again.samples, simulator(room.scene, SOURCE, HEAD).samples)


def plain_hits(segments, centre, radius, first, last):
    """Chords `[last - first]` of segments through one ball: the slow twin of the gathering."""
    out = np.zeros(last - first)
    for i in range(first, last):
        start, way = segments.origin[i].astype(float), segments.direction[i].astype(float)
        middle = (centre - start) @ way
        off = np.linalg.norm(start + middle * way - centre)
        if off < radius:
            half = np.sqrt(radius**2 - off**2)
            out[i - first] = min(middle + half, segments.length[i]) - max(middle - half, 0)
    return out.clip(0)


def test_gathering_equals_its_plain_twin(room):
    field = replace(PLAIN, rays=60, duration=0.3).trace(room, Source(SOURCE), as_poses(HEAD))
    segments = field.segments
    assert (segments.travelled[: segments.young] < 20).all()
    assert (segments.travelled[segments.young :] >= 20).all()
    near, wide = (HEAD, 0.5), (np.array([3.5, 2.2, 1.4]), 1.1)
    places = Places(*(Balls(c[None], np.array([r])) for c, r in (near, wide)))
    (hits,) = gather(segments, places)
    expected = np.zeros(len(segments))
    for (centre, radius), part in ((near, (0, segments.young)), (wide, (segments.young, None))):
        first, last = part[0], part[1] or len(segments)
        chord = plain_hits(segments, centre, radius, first, last)
        expected[first:last] = chord * 4 * np.pi / segments.rays / (4 / 3 * np.pi * radius**3)
    expected *= segments.weight
    found = np.bincount(hits.segment, hits.weight, len(segments))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-7 * expected.max())


def test_jackknife_is_the_error_of_a_mean_for_a_mean():
    parts = np.random.default_rng(0).random((16, 3))
    values = confidence._replicates(parts, np.full(16, 1 / 16), np.zeros(3))
    expected = parts.std(axis=0, ddof=1) * np.sqrt(16)
    np.testing.assert_allclose(confidence._jackknife(values), expected, rtol=1e-9)


def test_a_moving_source_sounds_as_many_still_ones():
    walls = np.repeat(np.array([[0.1, 0.6, 0.2, 0.1, 0.3, 0.5]]).T, 9, axis=1)
    scene = Scene.shoebox(SIZE, absorption=walls, scattering=0.3)
    cardioid = Directivity(np.full(9, 0.5))
    sources = [Source(p, (0, 1, 0), cardioid) for p in ([1, 1, 1.5], [2, 3, 1.0], [5, 1, 2.0])]
    head = Pose.at(HEAD, yaw=70)
    simulator = Simulator(hrtf="rigid-sphere", rays=20_000, duration=0.5)
    moving = simulator(scene, sources, head)
    assert moving.report["traces"] == 1
    assert moving.source.shape == (3, 3)
    for i, source in enumerate(sources):
        still = simulator(scene, source, head)
        one, two = moving.samples[i], still.samples[0]
        start = int(np.linalg.norm(source.position - HEAD) / 343.2 * 48_000)
        direct = slice(start - 30, start + 60)
        np.testing.assert_allclose(one[:, direct], two[:, direct], atol=0.03 * np.abs(two).max())
        ratio = 10 * np.log10((one**2).sum(axis=1) / (two**2).sum(axis=1))
        assert np.abs(ratio).max() < 0.3


def test_pairs_of_sources_and_heads_are_heard_one_by_one():
    scene = Scene.shoebox(SIZE, absorption=0.3)
    places = np.array([[1.0, 1, 1], [2, 2, 1], [1, 3, 2]])
    simulator = replace(PLAIN, rays=500, duration=0.2, specular_order=2)
    found = simulator(scene, places, places[::-1] + 0.5)
    for i in range(3):
        alone = simulator(scene, places[i], places[::-1][i] + 0.5)
        np.testing.assert_array_equal(found.samples[i], alone.samples[0])


def coherence(pair: np.ndarray, size: int = 512) -> np.ndarray:
    """Real interaural coherence `[size // 2 + 1]` of `[2, time]`."""
    count = pair.shape[1] // size
    spectra = np.fft.rfft(pair[:, : count * size].reshape(2, count, size) * np.hanning(size))
    cross = (spectra[0] * spectra[1].conj()).sum(0).real
    return cross / np.sqrt((np.abs(spectra) ** 2).sum(1).prod(0))


def test_coherence_of_the_tail_follows_the_diffuse_field_of_the_head():
    head = load_hrtf("rigid-sphere")
    scene = Scene.shoebox((8, 7, 5), absorption=0.1, scattering=0.7)
    simulator = Simulator(hrtf=head, duration=1.2, rays=4096)
    poses = [Pose.at((5, 4, 1.6), yaw=yaw) for yaw in (0, 60, 120)]
    tails = simulator(scene, (2, 2, 1.5), poses).samples[:, :, 9600:52_800]
    tails = tails * np.exp(np.arange(tails.shape[2]) / 48_000 * 6.9 / 1.0).astype(np.float32)
    found = np.mean([coherence(tail) for tail in tails], axis=0)
    f = np.fft.rfftfreq(512, 1 / 48_000)
    field = head.diffuse_spectrum(4096)
    theory = np.interp(f, field.frequency, field.coherence.real)
    frames = tails.shape[2] // 512
    assert found[(f > 50) & (f < 200)].min() > 0.85
    high = (f > 1500) & (f < 12_000)
    assert np.sqrt((found[high] ** 2).mean()) < 1.6 / np.sqrt(frames) + 0.05
    every = (f > 90) & (f < 12_000)
    assert np.abs(found - theory)[every].mean() < 0.1
