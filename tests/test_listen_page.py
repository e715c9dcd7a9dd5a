"""The parts of the listening page against what they stand for."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from browser.pages import QUICK, SOURCE, plastered_rooms
from piavas.acoustics.ambisonics import harmonics
from piavas.acoustics.field import Room
from piavas.acoustics.hrtf import rigid_sphere
from piavas.capture import Recording, load_capture
from piavas.cli import main
from piavas.errors import DataError, PiavasError, SimulationError
from piavas.listen.page import WEB
from piavas.listen.page_bundle import read_bundle, write_bundle
from piavas.listen.page_estimate import estimate_web
from piavas.listen.page_floor import NONE, STEP, blend, choose_points, map_floor
from piavas.listen.page_head import decoder
from piavas.listen.page_photo import photograph as colour
from piavas.listen.page_points import RATE, GridHearing, spread, squeezed
from piavas.listen.page_serve import make_server
from piavas.listen.page_sounds import LOUDNESS, SYNTHESISED, levelled
from piavas.listen.page_tracks import refined
from piavas.listen.page_walk import stroll
from piavas.scene import Material, Pose, Scene, Source
from rooms import photograph, two_rooms, walk


@pytest.fixture(scope="module")
def scene() -> Scene:
    return plastered_rooms()


@pytest.fixture(scope="module")
def floor(scene):
    return map_floor(scene)


def test_the_floor_map_is_the_floor_less_furniture_and_a_persons_width(floor):
    cells = np.argwhere(floor.walkable)
    places = floor.place(cells)
    inside = np.zeros(len(places), bool)
    for low, high in (((0, 0), (4, 4)), ((4.2, 0), (8.2, 4)), ((3.9, 2.6), (4.3, 3.6))):
        inside |= ((places[:, :2] > low) & (places[:, :2] < high)).all(axis=1)
    assert inside.all()
    for low, high in (two_rooms().table, two_rooms().cupboard):
        near = np.maximum(np.maximum(low[:2] - places[:, :2], places[:, :2] - high[:2]), 0)
        assert np.hypot(*near.T).min() > 0.1
    # Two rooms drawn in by .2 m, less table and cupboard drawn out by .2 m, and the doorway.
    area = 2 * 3.6**2 - 1.4**2 - 0.2**2 - (0.8 - 0.2 + 0.2) * 1.6 + 0.6 * 0.6
    assert len(cells) * STEP**2 == pytest.approx(area, rel=0.06)
    assert floor.floor == pytest.approx(0, abs=1e-6)


def test_every_place_blends_responses_that_can_be_walked_to(floor):
    points = choose_points(floor, 0.8)
    index, weight = blend(floor, points, 0.8)
    assert np.allclose(weight[floor.walkable].sum(axis=1), 1, atol=1e-6)
    assert not weight[~floor.walkable].any()
    far = np.linalg.norm(np.argwhere(floor.walkable)[:, None] - points[None], axis=2).min(axis=1)
    assert far.max() * STEP <= 0.8
    # At y = 1 the wall is closed: what is heard left of it comes from points left of it.
    i, j = floor.cell([[3.75, 1.0]])[0]
    heard = index[i, j][index[i, j] != NONE]
    assert (floor.place(points[heard])[:, 0] < 4).all()
    # Neighbouring cells blend alike: no jump while one walks.
    whole = np.zeros((*floor.walkable.shape, len(points)))
    for k in range(4):
        rows = np.nonzero(index[..., k] != NONE)
        whole[(*rows, index[(*rows, k)])] = weight[(*rows, k)]
    both = floor.walkable[1:] & floor.walkable[:-1]
    assert np.abs(whole[1:] - whole[:-1]).sum(axis=2)[both].max() < 0.75


def test_a_room_without_floor_is_refused(scene):
    with pytest.raises(SimulationError, match="no floor"):
        map_floor(scene, height=3.0)


def test_the_walk_stays_on_the_floor_and_ends_where_it_began(floor):
    way = stroll(floor, np.array(SOURCE))
    places = way.poses[:, :3, 3]
    low = floor.low - STEP
    cells = np.round((places[:, :2] - floor.low) / STEP).astype(int)
    assert (places[:, :2] > low).all() and floor.walkable[tuple(cells.T)].mean() > 0.97
    assert np.linalg.norm(places[0] - places[-1]) < 0.5
    assert places[:, 0].min() < 2 and places[:, 0].max() > 6
    pace = np.linalg.norm(np.diff(places, axis=0), axis=1) / np.diff(way.times)
    assert pace.max() < 1.2


def test_bundles_come_back_and_spoilt_ones_are_refused(tmp_path):
    path = tmp_path / "a.bin"
    arrays = {"a": np.arange(7, dtype=np.int8), "ä": np.ones((2, 3), np.float32)}
    write_bundle(path, arrays)
    back = read_bundle(path)
    assert all(np.array_equal(back[k], v) and back[k].dtype == v.dtype for k, v in arrays.items())
    whole = path.read_bytes()
    for bad in (whole[:20], b"RIFF" + whole[4:], whole[:-8], b""):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=r"a\.bin"):
            read_bundle(path)
    with pytest.raises(DataError, match="float64"):
        write_bundle(path, {"x": np.zeros(2)})
    with pytest.raises(DataError, match="no such file"):
        read_bundle(tmp_path / "absent.bin")


def test_squeezed_samples_err_by_half_a_step_of_their_block():
    generator = np.random.default_rng(0)
    decay = np.exp(-np.arange(20_000) / 2000)
    samples = (generator.normal(size=(4, 20_000)) * decay).astype(np.float32)
    back = spread(squeezed(samples))
    length = min(back.shape[1], samples.shape[1])
    error = (back - samples[:, : back.shape[1]])[:, :length]
    assert 10 * np.log10((error**2).sum() / (samples**2).sum()) < -40
    assert (samples[:, length:] ** 2).sum() < 1e-6 * (samples**2).sum()


def test_the_decoder_has_the_heads_diffuse_field_and_its_ears_at_low_frequencies():
    head = rigid_sphere(RATE).dense()
    filters = decoder(head, 1)
    spectra = np.fft.rfft(filters, 1024)
    f = np.fft.rfftfreq(1024, 1 / RATE)
    power = np.einsum("ecf,c->ef", np.abs(spectra) ** 2, [1, 1 / 3, 1 / 3, 1 / 3])
    ears = np.fft.rfft(head.responses, 1024)
    wanted = np.einsum("n,nef->ef", head.weights, np.abs(ears) ** 2)
    band = (f > 150) & (f < 16_000)
    assert np.abs(10 * np.log10(power / wanted))[:, band].max() < 0.6
    # A plane wave: the sphere's own ears, as far as order 1 carries.
    waves = np.einsum("nc,ecf->nef", harmonics(head.directions, 1), spectra)
    low = (f > 100) & (f < 500)
    error = (np.abs(waves - ears) ** 2)[..., low].sum() / (np.abs(ears) ** 2)[..., low].sum()
    assert 10 * np.log10(error) < -15


def test_paths_keep_their_energy_and_their_corners_add_up(scene, floor):
    heads = floor.place(floor.cell([[2.8, 2.6], [6.5, 3.0]]))
    simulator = QUICK.simulator()
    hearing = GridHearing.of(simulator, Room(scene), Source(np.array(SOURCE)), heads)
    for i in range(2):
        bundle = hearing.point(i)
        legs = np.array(
            [
                np.linalg.norm(np.diff(bundle["line"][a:b], axis=0), axis=1).sum()
                for a, b in zip(bundle["start"][:-1], bundle["start"][1:], strict=True)
            ]
        )
        bent = bundle["bent"] > 0
        assert np.allclose(legs[~bent], bundle["length"][~bent], atol=2e-3)
        # What bends round two edges has no line; most have one, of the path's own length.
        drawn = bent & (legs > 0)
        assert np.allclose(legs[drawn], bundle["length"][drawn], atol=0.05)
        assert drawn.sum() >= 0.5 * bent.sum()
        away = np.linalg.norm(bundle["image"] - heads[i], axis=1)
        assert np.allclose(away, bundle["length"], atol=1e-3)
        # Straight paths around 1 kHz, where air takes nothing yet.
        around = np.abs(np.fft.rfft(bundle["filter"], 480))[:, 5:21] / bundle["length"][:, None]
        off = 20 * np.log10(around) - bundle["level"][:, None]
        assert np.abs(off[~bent]).max() < 0.3
    # What the page is sent is all there is: paths and the rest have the energy of the whole.
    whole = replace(simulator, output="mono")(scene, SOURCE, heads).samples[:, 0]
    level = 10 * np.log10((whole.astype(float) ** 2).sum(axis=1)) + 20
    assert np.allclose([hearing.point(i)["figures"][2] for i in range(2)], level, atol=0.1)


def test_texels_take_the_colour_of_what_the_cameras_saw(tmp_path):
    import cv2

    world = two_rooms()
    photograph(tmp_path, world, walk(24))
    capture = load_capture(tmp_path)
    for frame in capture.frames:
        # Paint each picture by where its pixels lie: red is x, green is y, blue is z.
        v, u = np.mgrid[0:120, 0:160]
        way = np.stack([(u - 79.5) / 90, -(v - 59.5) / 90, -np.ones(u.shape)], -1)
        depth = np.nan_to_num(frame.depth())
        place = (depth[..., None] * way) @ frame.pose[:3, :3].T + frame.pose[:3, 3]
        picture = np.clip(place * 30, 0, 255)
        cv2.imwrite(str(frame.image_path), picture[..., ::-1].astype(np.uint8))
    mesh = Scene(
        world.vertices, world.faces, np.zeros(len(world.faces), int), (Material("a", np.zeros(9)),)
    ).mesh
    atlas, picture, shown = colour(mesh, capture)
    rows = np.nonzero(atlas.face >= 0)
    error = np.abs(picture[rows] - np.clip(atlas.place[rows] * 30, 0, 255))
    assert np.median(error) < 2 and np.percentile(error, 80) < 12
    assert 0.5 < shown.mean() <= 1
    # Each face's corners lie where its texels do.
    for f in (0, len(mesh.faces) // 2):
        rows = np.argwhere(atlas.face == f)
        low, high = atlas.corner[f].min(axis=0) - 3, atlas.corner[f].max(axis=0) + 3
        assert ((rows[:, ::-1] >= low) & (rows[:, ::-1] <= high)).all()


def test_sounds_are_as_loud_as_they_should_and_seeded():
    for make in SYNTHESISED.values():
        sound = levelled(make(RATE), RATE)
        assert np.isfinite(sound).all() and np.abs(sound).max() <= 0.91
        pieces = sound[: len(sound) // 2400 * 2400].reshape(-1, 2400)
        power = (pieces**2).mean(axis=1)
        loud = 10 * np.log10(power[power > power.max() / 1000].mean())
        assert LOUDNESS - 8 < loud < LOUDNESS + 0.5
        assert np.array_equal(make(RATE), make(RATE))


def test_vendored_scripts_are_those_of_the_notes():
    import hashlib

    notes = (WEB / "vendor/README.md").read_text()
    scripts = list((WEB / "vendor").glob("*.js"))
    assert len(scripts) == 2
    for script in scripts:
        assert hashlib.sha256(script.read_bytes()).hexdigest() in notes


def test_scripts_parse(tmp_path):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    for script in WEB.glob("*.js"):
        module = tmp_path / f"{script.stem}.mjs"  # node takes .mjs for modules, whatever its age
        shutil.copyfile(script, module)
        checked = subprocess.run(
            [node, "--check", module], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        assert len(script.read_text().splitlines()) < 400


def test_the_estimate_and_the_errors_of_the_verb(scene, tmp_path, capsys):
    from piavas.materials import save_scene

    save_scene(scene, tmp_path / "scene")
    common = ["export", "web", str(tmp_path / "scene"), "--out", str(tmp_path / "page")]
    quick = ["--rays", "1000", "--duration", "0.2", "--spacing", "2.0", "--hrtf", "rigid-sphere"]
    assert main([*common, *quick, "--dry-run", "--json", "--source", *map(str, SOURCE)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["points"] > 4 and said["disk_mb"] > 10 and said["seconds"] > 0
    assert not (tmp_path / "page").exists()
    for options, field in ((["--spacing", "0.01"], "spacing"), (["--order", "9"], "order")):
        assert main([*common, *options]) == 2
        assert field in capsys.readouterr().err
    assert main([*common, *quick, "--source", "-5", "0", "1"]) == 2
    assert "outside the room" in capsys.readouterr().err
    with pytest.raises(PiavasError, match="holds no page"):
        make_server(tmp_path)
    assert estimate_web(scene, sources=[SOURCE], page=QUICK)["sources"] == 1


def test_what_is_refined_clip_by_clip_joins_without_a_seam():
    asked = []

    class Same:
        """A refiner that changes nothing, and notes the poses that it is asked for."""

        class config:
            sample_rate = 22_050

        def __call__(self, x_sim, x_tx, pose, source):
            asked.append(pose[0, 3])
            assert x_sim.shape[1] == x_tx.shape[1]
            return x_sim

    times = np.arange(0, 4, 0.5)
    poses = np.stack([Pose.at((t, 0, 1.6)).matrix for t in times])
    recording = Recording("a", np.zeros(3), Path("dry"), Path("wet"), times, poses)
    t = np.arange(3 * RATE) / RATE
    sound = np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 3000 * t)]).astype(np.float32)
    heard = refined(recording, Same(), sound[:1], sound, RATE)
    size = min(heard.shape[1], sound.shape[1])
    error = (heard[:, 500 : size - 500] - sound[:, 500 : size - 500]) ** 2
    assert 10 * np.log10(error.mean() / 0.5) < -50
    # Clips of a second, every half one, each at the pose of its middle.
    assert asked == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0][: len(asked)] and len(asked) >= 5
