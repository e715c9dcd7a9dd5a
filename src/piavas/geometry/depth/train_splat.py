"""Training flat Gaussians on a capture's images (Huang et al. 2024), by gsplat on a GPU.

Each Gaussian is a disc. An image is drawn, compared with the photograph, and discs are moved,
split and dropped by the gradient; that the normals of the discs agree with those of the drawn
depth, and that the discs met along a ray lie together, makes them surfaces and not fog.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from piavas.capture import Capture
from piavas.capture.gravity import OPENCV_TO_OPENGL
from piavas.capture.pairs import unproject
from piavas.capture.types import Frame
from piavas.errors import GeometryError, MissingDependencyError
from piavas.files import atomic
from piavas.geometry.depth.source import DepthMap
from piavas.geometry.depth.splat import placed
from piavas.progress import track

if TYPE_CHECKING:
    import torch
    from torch import Tensor

F64 = NDArray[np.float64]
SH0 = 0.28209479177387814  # the constant spherical harmonic
RATES = {"means": 1.6e-4, "scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "colors": 2.5e-3}
"""Steps of Adam, those of means times the size of the scene: the values of Kerbl et al. 2023."""
LAST_RATE = 0.01  # of the means, at the end, re the first
THINNEST = 1e-4  # metres of the third axis, which has no part in the drawing
WINDOW, SPREAD = 11, 1.5  # pixels of the likeness (SSIM)


@dataclass(frozen=True)
class SplatConfig:
    """How to train.

    Args:
        steps: one image each.
        likeness: share of 1 - SSIM in the loss beside the absolute difference.
        normals: weight of the disagreement of normals.
        together: weight of the spread of discs along a ray.
        regular_from: share of the steps after which both count.
        grow_until: share of the steps until which discs are split.
        faint: opacity under which a disc is dropped.
        seed: of chance.
    """

    steps: int = 7_000
    likeness: float = 0.2
    normals: float = 0.05
    together: float = 0.01
    regular_from: float = 0.25
    grow_until: float = 0.6
    faint: float = 0.05
    seed: int = 0


def surface_points(
    maps: Iterator[DepthMap], count: int, seed: int = 0
) -> tuple[F64, NDArray[np.uint8]]:
    """Places `[n, 3]` in metres and colours `[n, 3]` of at most `count` pixels that have depth."""
    chance = np.random.default_rng(seed)
    place, color, lot = np.empty((0, 3)), np.empty((0, 3), np.uint8), np.empty(0)
    for found in maps:
        known = np.flatnonzero(np.isfinite(found.depth) & (found.depth > 0))
        drawn = chance.random(len(known))
        kept = np.argsort(drawn)[:count]  # each pixel draws a lot, and the lowest of all stay
        known = known[kept]
        row, column = np.divmod(known, found.depth.shape[1])
        depth = found.depth.ravel()[known].astype(np.float64)
        place = np.concatenate([place, unproject(found.frame, column, row, depth)])
        color = np.concatenate([color, found.frame.image()[row, column]])
        lot = np.concatenate([lot, drawn[kept]])
        low = np.argsort(lot)[:count]
        place, color, lot = place[low], color[low], lot[low]
    return place, color


def train_splat(
    capture: Capture,
    out: str | os.PathLike[str],
    points: F64,
    colors: NDArray[np.uint8],
    config: SplatConfig | None = None,
    *,
    device: str = "cuda",
) -> Path:
    """Train flat Gaussians and write the PLY that `Splat.load` reads, in the files' own frame.

    Args:
        capture: metric, with at least two images.
        out: PLY to write.
        points: `[n, 3]` metres where discs begin, such as `surface_points` of stereo.
        colors: `[n, 3]` of them, RGB.
        config: how.
        device: of PyTorch; gsplat draws on "cuda" alone.

    Raises:
        MissingDependencyError: no gsplat, or no GPU.
        GeometryError: too few points.
    """
    config, gsplat = config or SplatConfig(), _gsplat(device)
    if len(points) < 100:
        raise GeometryError(
            f"{len(points)} points to begin with", field="points", mend="give at least 100"
        )
    import torch

    torch.manual_seed(config.seed)
    size = float(np.linalg.norm(capture.positions - capture.positions.mean(0), axis=1).max()) or 1.0
    discs = _discs(points, colors, config.seed, device)
    rates = {k: v * (size if k == "means" else 1) for k, v in RATES.items()}
    movers = {
        k: torch.optim.Adam([{"params": discs[k], "lr": rates[k], "name": k}], eps=1e-15)
        for k in discs
    }
    slow = torch.optim.lr_scheduler.ExponentialLR(movers["means"], LAST_RATE ** (1 / config.steps))
    strategy = gsplat.DefaultStrategy(
        prune_opa=config.faint,
        refine_stop_iter=round(config.grow_until * config.steps),
        reset_every=config.steps,  # what begins on the surface needs no new start
        key_for_gradient="gradient_2dgs",
    )
    state = strategy.initialize_state(scene_scale=size)
    views = [_view(frame, device) for frame in capture.frames]
    order = np.random.default_rng(config.seed)
    for step in track(range(config.steps), "train Gaussians", config.steps):
        image, camera, lens = views[int(order.integers(len(views)))]
        loss, info = _loss(gsplat, discs, (image, camera, lens), step, config)
        strategy.step_pre_backward(discs, movers, state, step, info)
        loss.backward()
        for mover in movers.values():
            mover.step()
            mover.zero_grad(set_to_none=True)
        slow.step()
        strategy.step_post_backward(discs, movers, state, step, info, packed=False)
    return _write(Path(out), capture, {k: v.detach().cpu().numpy() for k, v in discs.items()})


def _loss(
    gsplat: ModuleType, discs: Any, view: Any, step: int, config: SplatConfig
) -> tuple[Tensor, Any]:
    """How the drawing differs from the photograph, and how little it is a surface."""
    image, camera, lens = view
    regular = step >= config.regular_from * config.steps
    drawn, alpha, normals, of_depth, spread, _, info = gsplat.rasterization_2dgs(
        discs["means"],
        discs["quats"],
        discs["scales"].exp(),
        discs["opacities"].sigmoid(),
        discs["colors"][None],
        camera[None],
        lens[None],
        image.shape[1],
        image.shape[0],
        render_mode="RGB+ED",
        distloss=regular,
    )
    seen = drawn[0, ..., :3]
    loss = (1 - config.likeness) * (seen - image).abs().mean()
    loss = loss + config.likeness * (1 - _likeness(seen, image))
    if regular:
        agree = (normals[0] * of_depth.reshape(normals[0].shape) * alpha[0].detach()).sum(-1)
        loss = loss + config.normals * (1 - agree).mean() + config.together * spread.mean()
    return loss, info


def _likeness(one: Tensor, other: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) of `[h, w, 3]` in 0 to 1."""
    import torch
    from torch.nn import functional as F

    at = torch.arange(WINDOW, device=one.device, dtype=one.dtype) - WINDOW // 2
    bell = torch.exp(-0.5 * (at / SPREAD) ** 2)
    bell = (bell / bell.sum()).expand(3, 1, 1, -1)

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, bell, groups=3), bell.transpose(2, 3), groups=3)

    x, y = (image.permute(2, 0, 1)[None] for image in (one, other))
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    like = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
    return (like / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))).mean()


def _discs(
    points: F64, colors: NDArray[np.uint8], seed: int, device: str
) -> torch.nn.ParameterDict:
    """A disc at each point, as wide as its neighbours are far, turned at random."""
    import torch

    apart = cKDTree(points).query(points, k=4)[0][:, 1:]
    width = np.sqrt(np.maximum((apart**2).mean(axis=1), 1e-8))
    start = {
        "means": points,
        "scales": np.log(width)[:, None].repeat(3, 1),
        "quats": np.random.default_rng(seed).normal(size=(len(points), 4)),
        "opacities": np.full(len(points), np.log(0.1 / 0.9)),
        "colors": colors / 255.0,
    }
    return torch.nn.ParameterDict(
        {k: torch.nn.Parameter(torch.tensor(v, dtype=torch.float32, device=device))
         for k, v in start.items()}
    )  # fmt: skip


def _view(frame: Frame, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Image `[h, w, 3]` in 0 to 1, world to camera `[4, 4]`, lens `[3, 3]`."""
    import torch

    pose, lens = frame.pose.copy(), frame.intrinsics.matrix
    pose[:3, :3] = pose[:3, :3] @ OPENCV_TO_OPENGL
    lens[:2, 2] += 0.5  # the trainer counts pixels from their corners
    image = torch.from_numpy(frame.image().copy()).to(device).float() / 255
    camera, view = (
        torch.tensor(matrix, dtype=torch.float32, device=device)
        for matrix in (np.linalg.inv(pose), lens)
    )
    return image, camera, view


def _write(path: Path, capture: Capture, discs: dict[str, NDArray[np.float32]]) -> Path:
    turn, move, unit = placed(capture)
    mean = (discs["means"] - move) @ turn / unit
    scale = discs["scales"] - np.log(unit)
    scale[:, 2] = np.log(THINNEST / unit)
    quat = _turned(turn.T, discs["quats"].astype(np.float64))
    columns = {
        **dict(zip("xyz", mean.T, strict=True)),
        **{f"f_dc_{k}": (c - 0.5) / SH0 for k, c in enumerate(discs["colors"].T)},
        "opacity": discs["opacities"],
        **{f"scale_{k}": s for k, s in enumerate(scale.T)},
        **{f"rot_{k}": q for k, q in enumerate(quat.T)},
    }
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mean)}"]
    head += [f"property float {name}" for name in columns] + ["end_header", ""]
    with atomic(path) as part:
        rows = np.stack(list(columns.values()), axis=1).astype("<f4")
        part.write_bytes("\n".join(head).encode() + rows.tobytes())
    return path


def _turned(turn: F64, quats: F64) -> F64:
    """Quaternions `[n, 4]`, real part first, of `turn` after each."""
    after = Rotation.from_matrix(turn) * Rotation.from_quat(quats, scalar_first=True)
    return np.asarray(after.as_quat(scalar_first=True))


def _gsplat(device: str) -> ModuleType:
    try:
        import gsplat
        import torch
    except ImportError as problem:
        raise MissingDependencyError(
            f"training Gaussians needs gsplat: {problem}",
            mend="run `pip install 'piavas[splat]'` on a machine with a GPU and CUDA's compiler",
        ) from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MissingDependencyError(
            "training Gaussians needs a GPU, and PyTorch sees none",
            field="device",
            mend="train on another machine and bring the PLY: `--depth splat --splat FILE`",
        )
    return gsplat
