"""Depth of single images: anchoring against known errors, and a tiny model built by the test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piavas.capture import load_capture
from piavas.errors import CheckpointError, GeometryError, MissingDependencyError
from piavas.geometry import reconstruct
from piavas.geometry.compare import point_to_mesh, sample_surface
from piavas.geometry.depth import DepthMap
from piavas.geometry.depth.anchors import Points, Together, anchor_depth
from piavas.geometry.depth.mono import Mono
from piavas.geometry.depth.source import Sensor
from piavas.geometry.depth.stereo import Stereo
from piavas.scene import OBSERVED, Mesh
from rooms import photograph, two_rooms, walk
from test_stereo import drawn  # noqa: F401 # a fixture


def wrong(depth, seed=0, scale=0.05, slow=0.03):
    """Metric depth as networks tell it: another scale in every image, and slow errors over it."""
    chance = np.random.default_rng(seed)
    rows, columns = depth.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    waves = sum(chance.normal(0, slow / 2) * f for f in (x, y, x * y, x * x - 1 / 3))
    return (depth * np.exp(chance.normal(0, scale) + waves)).astype(np.float32)


def sparse(depth, share=0.03, seed=0, outliers=0.1):
    """A few known pixels, some of them wrong."""
    chance = np.random.default_rng(seed)
    known = np.where(chance.random(depth.shape) < share, depth, np.nan)
    bad = chance.random(depth.shape) < outliers
    return np.where(bad, known * chance.uniform(0.5, 2, depth.shape), known).astype(np.float32)


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return load_capture(photograph(tmp_path_factory.mktemp("visit"), two_rooms(), walk(24)))


def relative(depth, truth):
    good = np.isfinite(truth)
    return float(np.median(np.abs(depth[good] / truth[good] - 1)))


def test_scale_and_slow_errors_are_taken_out(visit):
    before, after = [], []
    for i, frame in enumerate(visit.frames[:8]):
        truth = frame.depth()
        told = wrong(np.nan_to_num(truth, nan=3.0), seed=i)
        fitted = anchor_depth(told, sparse(truth, seed=i))
        assert fitted is not None and fitted.anchors > 300
        before.append(relative(told, truth))
        after.append(relative(fitted.depth, truth))
    assert np.mean(after) < 0.004
    assert np.mean(after) < 0.2 * np.mean(before)


def test_few_anchors_scale_and_none_leave_it():
    truth = np.full((60, 80), 2.0, np.float32)
    known = np.full_like(truth, np.nan)
    same = anchor_depth(truth, known)
    assert same is not None and same.anchors == 0 and same.depth is truth
    known[:5, :10] = 2.2  # in one corner: no bend can be told
    fitted = anchor_depth(truth, known)
    np.testing.assert_allclose(fitted.depth, 2.2, rtol=1e-4)
    assert fitted.factor == pytest.approx(1.1, rel=1e-4)


def test_contradiction_is_found():
    chance = np.random.default_rng(0)
    depth = chance.uniform(0.5, 8, (60, 80)).astype(np.float32)
    known = chance.uniform(0.5, 8, (60, 80)).astype(np.float32)
    assert anchor_depth(depth, known) is None


class Sparse:
    """Sensor depth of few pixels, without every third frame."""

    name = "sparse"

    def depths(self, capture):
        for i, frame in enumerate(capture.frames):
            if i % 3:
                yield DepthMap(frame, sparse(frame.depth(), seed=i))


class Told(Mono):
    """A network of known errors instead of a trained one."""

    def depths(self, capture):
        self.queue.extend(wrong(np.nan_to_num(f.depth(), nan=3.0), i) for i, f in
                          enumerate(capture.frames))  # fmt: skip
        return super().depths(capture)

    def depths_of(self, capture):
        object.__setattr__(self, "queue", [])
        return self.depths(capture)

    def predict(self, image):
        return self.queue.pop(0)


def test_a_room_comes_out_truer_when_anchored(visit):
    world = two_rooms()
    truth = Mesh(world.vertices, world.faces)
    gaps = {}
    for kind, anchor in (("alone", None), ("anchored", Sensor())):
        source = Told(None, None, anchor)
        object.__setattr__(source, "queue", [])
        mesh = reconstruct(visit, depth=source, voxel=0.08)
        assert mesh.report["depth"] == "mono" and mesh.report["leak"] == 0
        points, _ = sample_surface(mesh, 2000, faces=mesh.origin == OBSERVED)
        gaps[kind] = np.median(point_to_mesh(points, truth))
        if kind == "anchored":
            assert mesh.report["volume"] == pytest.approx(world.volume, rel=0.03)
    assert gaps["anchored"] < 0.02
    assert gaps["anchored"] < 0.5 * gaps["alone"]


class Thinned:
    """A source that thins its images, as stereo does."""

    name = "thinned"

    def depths(self, capture):
        for i, frame in enumerate(capture.frames):
            camera = frame.intrinsics
            half = replace(camera, width=camera.width // 2, height=camera.height // 2)
            known = sparse(frame.depth()[1::2, 1::2], share=0.1, seed=i)
            yield DepthMap(replace(frame, intrinsics=half), known)


def test_thinned_images_anchor_whole_ones(visit):
    source = Told(None, None, Thinned())
    object.__setattr__(source, "queue", [])
    found = list(source.depths(visit))
    assert len(found) == len(visit.frames)
    assert max(relative(m.depth, m.frame.depth()) for m in found) < 0.02


def test_stereo_anchors_a_network(drawn):  # noqa: F811
    capture, truth = drawn
    told = iter(capture.frames)

    class Large(Mono):
        def predict(self, image):
            return (1.3 * truth[next(told).image_path.name]).astype(np.float32)

    for found in Large(None, None, Stereo(width=80, rounds=1)).depths(capture):
        ratio = np.median(found.depth / truth[found.frame.image_path.name])
        assert ratio == pytest.approx(1, abs=0.02)


def test_frames_without_anchors_are_kept_as_they_are(visit):
    source = Told(None, None, Sparse())
    object.__setattr__(source, "queue", [])
    found = list(source.depths(visit))
    assert len(found) == len(visit.frames)
    gaps = [relative(m.depth, m.frame.depth()) for m in found]
    assert max(g for i, g in enumerate(gaps) if i % 3) < 0.02
    plain = [relative(wrong(np.nan_to_num(f.depth(), nan=3.0), i), f.depth())
             for i, f in enumerate(visit.frames)]  # fmt: skip
    for i in range(0, len(gaps), 3):
        assert gaps[i] == pytest.approx(plain[i], abs=1e-6)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Depth Anything of one narrow layer, weights at random."""
    transformers = pytest.importorskip("transformers", reason="the extra vision is not installed")
    import torch

    folder = tmp_path_factory.mktemp("depth")
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=28,
        patch_size=14, out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8, patch_size=14, depth_estimation_type="metric",
        max_depth=20,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    transformers.DPTImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def test_a_model_is_read_from_its_folder(tiny, visit):
    source = Mono.load(tiny)
    frame = visit.frames[0]
    depth = source.predict(frame.image())
    assert depth.shape == (120, 160) and np.isfinite(depth).all()
    assert depth.min() > 0 and depth.max() < 20
    np.testing.assert_array_equal(depth, Mono.load(tiny).predict(frame.image()))


def test_what_is_no_metric_model_is_named(tiny, tmp_path, monkeypatch):
    import json
    import shutil
    import sys

    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Mono.load(tmp_path)
    copy = shutil.copytree(tiny, tmp_path / "relative")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "depth_estimation_type": "relative"}))
    with pytest.raises(CheckpointError, match="up to scale"):
        Mono.load(copy)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match="vision"):
        Mono.load(tiny)


def test_every_image_in_contradiction_is_an_error(visit):
    class Noise(Mono):
        def predict(self, image):
            return np.random.default_rng(0).uniform(0.1, 30, image.shape[:2]).astype(np.float32)

    with pytest.raises(GeometryError, match="contradicts"):
        list(Noise(None, None, Sensor()).depths(visit))


# --- points of a sparse model, and what is told of the images


def with_points(capture, share=0.005):
    """`capture` whose frames, but for every third, know single points instead of depth."""
    chance = np.random.default_rng(0)
    frames = []
    for i, frame in enumerate(capture.frames):
        depth = frame.depth()
        v, u = np.nonzero(np.isfinite(depth) & (chance.random(depth.shape) < share))
        points = np.column_stack([u, v, depth[v, u]]).astype(float) if i % 3 else None
        frames.append(replace(frame, points=points))
    return replace(capture, frames=tuple(frames))


def test_points_of_a_sparse_model_anchor_a_network(visit):
    source = Told(None, None, Points())
    object.__setattr__(source, "queue", [])
    found = list(source.depths(with_points(visit)))
    assert len(found) == 24
    gaps = [relative(m.depth, m.frame.depth()) for i, m in enumerate(found) if i % 3]
    plain = [relative(wrong(np.nan_to_num(f.depth(), nan=3.0), i), f.depth())
             for i, f in enumerate(visit.frames) if i % 3]  # fmt: skip
    # Under a hundred points tell the scale of an image, and not the slow errors over it.
    assert max(gaps) < 0.03 and np.mean(gaps) < 0.5 * np.mean(plain)
    told = source.report
    assert (told["images"], told["anchored"]) == (24, 16) and not told["left_out"]
    assert set(told["as_told"]) == {f"{i:03d}.png" for i in range(0, 24, 3)}
    assert 0.8 < told["factor"][0] < told["factor"][1] < told["factor"][2] < 1.25


def test_of_two_points_on_a_pixel_the_nearer_is_known(visit):
    points = np.array([[3.2, 4.1, 5.0], [2.9, 3.8, 2.0], [10.0, 0.0, 1.0]])
    frame = replace(visit.frames[0], points=points)
    (found,) = Points().depths(replace(visit, frames=(frame,)))
    assert found.depth[4, 3] == 2 and found.depth[0, 10] == 1
    assert np.isfinite(found.depth).sum() == 2


def test_sources_together_know_what_each_knows(visit):
    some = with_points(visit)
    alone = {m.frame.image_path: m.depth for m in Sparse().depths(some)}
    points = {m.frame.image_path: m.depth for m in Points().depths(some)}
    for found in Together((Points(), Sparse())).depths(some):
        a, b = points[found.frame.image_path], alone[found.frame.image_path]
        np.testing.assert_array_equal(found.depth, np.where(np.isfinite(a), a, b))


class Fails:
    name = "fails"

    def depths(self, capture):
        raise GeometryError("has no two images of one thing")
        yield


def test_where_stereo_fails_the_points_are_enough(visit):
    assert len(list(Together((Points(), Fails())).depths(with_points(visit)))) == 16
    with pytest.raises(GeometryError, match="no two images"):
        list(Together((Points(), Fails())).depths(visit))
    with pytest.raises(GeometryError, match="no two images"):
        list(Told(None, None, Together((Points(), Fails()))).depths_of(visit))


def test_the_report_and_the_verb_say_what_became_of_each_image(
    visit, tmp_path, monkeypatch, capsys
):
    from piavas.cli import main

    class Odd(Told):
        def depths(self, capture):
            yield from super().depths(capture)

        def predict(self, image):
            depth = self.queue.pop(0)
            if len(self.queue) != 19:
                return depth
            return np.random.default_rng(0).uniform(0.1, 30, depth.shape).astype(np.float32)

    source = Odd(None, None, Sparse())
    object.__setattr__(source, "queue", [])
    monkeypatch.setattr(Mono, "load", lambda *_, **__: source)
    out = tmp_path / "mesh.ply"
    words = ["reconstruct", str(visit.root), "--out", str(out), "--depth", "mono"]
    assert not main([*words, "--voxel", "0.1"])
    said = " ".join(capsys.readouterr().out.split())
    assert "depth: 15 of 24 images anchored, 8 taken as the network tells them, 1 left out" in said
    assert "004.png: left out: contradicts the" in said and "000.png: as told: nothing" in said
    from piavas.geometry import load_mesh

    told = load_mesh(out).report["depth_report"]
    assert told["anchored"] == 15 and set(told["left_out"]) == {"004.png"}
