"""Training Gaussians: its parts here, all of it where there is a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from piavas.capture import Capture, load_capture, rescale
from piavas.errors import GeometryError, MissingDependencyError
from piavas.geometry.depth import DepthMap
from piavas.geometry.depth import train_splat as module
from piavas.geometry.depth.splat import Splat
from piavas.geometry.depth.train_splat import (
    SplatConfig,
    _likeness,
    _write,
    surface_points,
    train_splat,
)
from piavas.scene import Pose
from piavas.twin import generate_capture
from test_splat import SIZE, frames, true_depth


def capture() -> Capture:
    return Capture(Path("none"), "rgbd", frames()[:4], np.eye(4))


def ways_to_lie() -> dict[str, Capture]:
    plain = capture()
    around = Pose.at((1.0, -2.0, 0.5), yaw=50).matrix
    turned = replace(plain, transform=around)
    return {
        "plain": plain,
        "turned": turned,
        "rescaled": rescale(turned, 0.5),
        "nerfstudio": rescale(replace(turned, layout="nerfstudio"), 0.5),
    }


@pytest.mark.parametrize("kind", ["plain", "turned", "rescaled", "nerfstudio"])
def test_what_is_written_lies_where_it_was_trained(tmp_path, kind):
    chance, world = np.random.default_rng(0), ways_to_lie()[kind]
    discs = {
        "means": chance.normal(size=(50, 3)),
        "scales": chance.normal(-3, 0.3, (50, 3)),
        "quats": chance.normal(size=(50, 4)),
        "opacities": chance.normal(size=50),
        "colors": chance.random((50, 3)),
    }
    found = Splat.load(_write(tmp_path / "a.ply", world, discs))._in(world)
    np.testing.assert_allclose(found.mean, discs["means"], atol=1e-5)
    np.testing.assert_allclose(found.scale[:, :2], np.exp(discs["scales"][:, :2]), rtol=1e-5)
    assert (found.scale[:, 2] < 2e-4).all()
    # The third axis of a quaternion's matrix, written out.
    w, x, y, z = (discs["quats"] / np.linalg.norm(discs["quats"], axis=1)[:, None]).T
    normal = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1)
    np.testing.assert_allclose(found.turn[:, :, 2], normal, atol=1e-5)


def test_likeness_is_that_of_scikit_image():
    from skimage.metrics import structural_similarity

    chance = np.random.default_rng(1)
    one = np.kron(chance.random((8, 10, 3)), np.ones((6, 6, 1)))
    other = np.clip(one + chance.normal(0, 0.1, one.shape), 0, 1)
    _, full = structural_similarity(
        one, other, data_range=1, channel_axis=2, gaussian_weights=True, sigma=1.5, full=True,
        use_sample_covariance=False,
    )  # fmt: skip
    ours = float(_likeness(torch.from_numpy(one), torch.from_numpy(other)))
    assert float(_likeness(torch.from_numpy(one), torch.from_numpy(one))) == pytest.approx(1)
    assert ours == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-6)


def test_discs_begin_on_what_depth_shows(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((120, 160, 3), (10, 200, 30), np.uint8)).save(path)
    some = [replace(frame, image_path=path) for frame in frames()[:3]]
    maps = (DepthMap(f, np.asarray(true_depth(f), np.float32)) for f in some)
    place, color = surface_points(maps, 2000)
    assert 1000 < len(place) <= 2000
    off = np.minimum(np.abs(place), np.abs(place - SIZE)).min(axis=1)
    assert off.max() < 1e-5 and (place > -1e-5).all() and (place < SIZE + 1e-5).all()
    assert (color == (10, 200, 30)).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_without_a_gpu_it_says_what_is_missing(tmp_path):
    with pytest.raises(MissingDependencyError, match="GPU"):
        train_splat(capture(), tmp_path / "a.ply", np.zeros((500, 3)), np.zeros((500, 3), np.uint8))
    assert not (tmp_path / "a.ply").exists()


def on_the_cpu(gsplat, monkeypatch):
    """gsplat's own code, with PyTorch in the place of its four kernels, for a few discs."""
    from gsplat import rendering
    from gsplat.cuda._torch_impl_2dgs import _fully_fused_projection_2dgs

    class Torch:
        def __getattr__(self, name):
            return getattr(torch, name)

        def zeros_like(self, like, **how):
            return torch.zeros_like(like, **{**how, "device": like.device})

    def project(means, quats, scales, views, lenses, width, height, eps, near, far, *_):
        return _fully_fused_projection_2dgs(
            means, quats, scales, views, lenses, width, height, near, far
        )

    def draw(middle, turned, colors, opacity, normal, densify, width, height, *_, distloss, **__):
        """Every disc at every pixel, front to back (Huang et al. 2024, eqs. 8 to 11)."""
        order = colors[0, :, -1].argsort()
        middle, turned, colors, opacity, normal = (
            x[0][order] for x in (middle + densify, turned, colors, opacity, normal)
        )
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        at = torch.stack([x.ravel(), y.ravel()], dim=1)
        across = -turned[None, :, 0] + turned[None, :, 2] * at[:, None, :1]
        down = -turned[None, :, 1] + turned[None, :, 2] * at[:, None, 1:]
        meet = torch.linalg.cross(across, down)
        away = (meet[..., :2] / meet[..., 2:]).square().sum(-1)
        blurred = 2 * (at[:, None] - middle[None]).square().sum(-1)
        alpha = (opacity * torch.exp(-0.5 * torch.minimum(away, blurred))).clamp_max(0.99)
        alpha = torch.where(colors[:, -1] > 0.01, alpha, 0.0)
        light = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], 1), 1)[:, :-1]
        weight = alpha * light
        depth = colors[:, -1]
        before, far = weight.cumsum(1) - weight, (weight * depth).cumsum(1) - weight * depth
        spread = 2 * (weight * (depth * before - far)).sum(1)
        shape = (1, height, width, -1)
        deepest = colors[(light > 0.5).sum(1).clamp_min(1) - 1, -1:]
        return (
            (weight @ colors).reshape(shape),
            weight.sum(1).reshape(shape),
            (weight @ normal).reshape(shape),
            (spread if distloss else torch.zeros(len(at))).reshape(shape),
            deepest.reshape(shape),
        )

    monkeypatch.setattr(rendering, "torch", Torch())
    monkeypatch.setattr(rendering, "fully_fused_projection_2dgs", project)
    monkeypatch.setattr(rendering, "isect_tiles", lambda *_, **__: (None, None, None))
    monkeypatch.setattr(
        rendering,
        "isect_offset_encode",
        lambda _, images, wide, high: torch.zeros(images, high, wide),
    )
    monkeypatch.setattr(rendering, "rasterize_to_pixels_2dgs", draw)
    return gsplat


def test_training_draws_the_photographs_better_and_better(tmp_path, monkeypatch):
    gsplat = on_the_cpu(pytest.importorskip("gsplat", reason="gsplat is absent"), monkeypatch)
    monkeypatch.setattr(module, "_gsplat", lambda device: gsplat)
    losses, loss = [], module._loss

    def told(*given):
        found = loss(*given)
        losses.append(float(found[0].detach()))
        return found

    monkeypatch.setattr(module, "_loss", told)
    generate_capture(tmp_path / "room", 3, frames=6, rooms=2, width=32, height=24, film=True)
    room = load_capture(tmp_path / "room")
    place, color = surface_points((DepthMap(f, f.depth()) for f in room.frames), 150)
    with pytest.raises(GeometryError, match="points"):
        train_splat(room, tmp_path / "a.ply", place[:50], color[:50], device="cpu")
    path = train_splat(
        room,
        tmp_path / "a.ply",
        place,
        np.full_like(color, 128),
        SplatConfig(steps=110),
        device="cpu",
    )
    assert np.mean(losses[80:]) < 0.8 * np.mean(losses[:20])
    assert np.isfinite(losses).all()
    assert len(Splat.load(path).mean) >= 100


def test_training_brings_discs_nearer_to_the_truth(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pytest.importorskip("gsplat", reason="gsplat is not installed")
    generate_capture(tmp_path / "room", 3, frames=40, rooms=2, width=320, height=240, film=True)
    room = load_capture(tmp_path / "room")
    truth = (DepthMap(f, f.depth()) for f in room.frames)
    place, color = surface_points(truth, 30_000)
    with pytest.raises(GeometryError, match="points"):
        train_splat(room, tmp_path / "a.ply", place[:50], color[:50])
    place = place + np.random.default_rng(0).normal(0, 0.05, place.shape)
    medians = []
    for steps in (1, 1500):
        path = train_splat(room, tmp_path / "a.ply", place, color, SplatConfig(steps=steps))
        maps = Splat.load(path).depths(replace(room, frames=room.frames[::8]))
        off = [np.abs(m.depth - m.frame.depth())[m.depth > 0] for m in maps]
        medians.append(float(np.nanmedian(np.concatenate(off))))
    assert medians[1] < 0.6 * medians[0]
