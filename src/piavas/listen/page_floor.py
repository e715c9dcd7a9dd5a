"""Where a person can walk, the listener grid there, and what blends at each step.

The map is made of rays at the height of the ears: straight down they must meet the floor, at the
floor's own level (else furniture stands there), straight up a ceiling. What is left is drawn in by
the width of a person. Which responses blend at a place, and how much of each, is worked out here
once, along ways that can be walked: so nothing is heard through a wall that is not there yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from piavas.errors import SimulationError
from piavas.rays import RayCaster
from piavas.scene import Scene, triangle_areas

STEP = 0.1  # metres of the map
NONE = 0xFFFF
BLENDED = 4  # responses that blend at most
LEVEL = 0.12  # metres by which the floor may be uneven
Array = NDArray[np.float64]


@dataclass(frozen=True)
class FloorMap:
    """Free floor.

    Args:
        low: `[2]` metres, centre of the first cell.
        floor: metres, z of the floor.
        ears: metres, z of the ears.
        walkable: `[x, y]` cells of `STEP` where the middle of a person can be.
    """

    low: Array
    floor: float
    ears: float
    walkable: NDArray[np.bool_]

    def place(self, cells: NDArray[np.integer]) -> Array:
        """Places `[n, 3]` of the ears over cells `[n, 2]`."""
        flat = self.low + STEP * np.asarray(cells, float)
        return np.concatenate([flat, np.full((len(flat), 1), self.ears)], axis=1)

    def cell(self, points: ArrayLike) -> NDArray[np.int64]:
        """The walkable cell `[n, 2]` nearest to each of `points` `[n, 2 or 3]`."""
        flat = np.atleast_2d(np.asarray(points, dtype=np.float64))[:, :2]
        cells = np.argwhere(self.walkable)
        gap = ((self.low + STEP * cells)[None] - flat[:, None]) ** 2
        return cells[gap.sum(-1).argmin(axis=1)]


def map_floor(scene: Scene, *, height: float = 1.6, clearance: float = 0.2) -> FloorMap:
    """Find the free floor of `scene`.

    Args:
        scene: a room with normals into the air.
        height: metres of the ears above the floor.
        clearance: metres between the middle of a person and anything.

    Raises:
        SimulationError: nowhere in the scene can a person stand.
    """
    floor = _floor_level(scene)
    low = scene.vertices[:, :2].min(axis=0) + STEP / 2
    shape = np.ceil((scene.vertices[:, :2].max(axis=0) - low) / STEP).astype(int) + 1
    cells = np.argwhere(np.ones(shape, bool))
    places = np.concatenate([low + STEP * cells, np.full((len(cells), 1), floor + height)], axis=1)
    free = _standing(scene, places, floor).reshape(shape)
    far = distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1] * STEP
    pieces, number = label(far > clearance)
    if not number:
        raise SimulationError(
            f"has no floor at {floor:.2f} m on which a person of {height:g} m can stand",
            field="scene",
            mend="lower the height or the clearance, or check the mesh",
        )
    largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    return FloorMap(low, floor, floor + height, pieces == largest)


def _floor_level(scene: Scene) -> float:
    """The lowest of the heights that have much level surface facing up."""
    a, b, c = np.moveaxis(scene.vertices[scene.faces], 1, 0)
    normal = np.cross(b - a, c - a)
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    level = normal[:, 2] / length > 0.95
    if not level.any():
        raise SimulationError("has no floor", field="scene", mend="check the mesh: +z is up")
    height = (a + b + c)[level, 2] / 3
    area = triangle_areas(scene.vertices, scene.faces)[level]
    step = np.round(height / 0.05).astype(int)
    sums = np.bincount(step - step.min(), weights=area)
    chosen = int(np.flatnonzero(sums >= 0.4 * sums.max())[0]) + step.min()
    near = np.abs(step - chosen) <= 1
    return float(np.average(height[near], weights=area[near]))


def _standing(scene: Scene, places: Array, floor: float) -> NDArray[np.bool_]:
    """Whether a ray down from each place meets the floor's front, and one up a front."""
    caster = RayCaster(scene.vertices, scene.faces)
    a, b, c = np.moveaxis(scene.vertices[scene.faces], 1, 0)
    rise = np.cross(b - a, c - a)[:, 2]
    down, under = caster.closest(places, np.broadcast_to([0.0, 0.0, -1.0], places.shape))
    up, over = caster.closest(places, np.broadcast_to([0.0, 0.0, 1.0], places.shape))
    hit = (under >= 0) & (over >= 0)
    even = np.abs(places[:, 2] - np.where(hit, down, 0.0) - floor) < LEVEL
    return hit & even & (rise[under] > 0) & (rise[over] < 0) & (np.where(hit, up, 0.0) > 0.05)


def choose_points(floor: FloorMap, spacing: float) -> NDArray[np.int64]:
    """Cells `[n, 2]` of the listener grid.

    A lattice of `spacing` metres where the floor is free, and then the cells farthest from it, one
    by one, until every walkable cell has one within `spacing` (doorways, corners, narrow ways).
    """
    each = max(round(spacing / STEP), 1)
    lattice = np.zeros_like(floor.walkable)
    lattice[each // 2 :: each, each // 2 :: each] = True
    chosen = list(np.argwhere(lattice & floor.walkable))
    if not chosen:
        chosen = [np.argwhere(floor.walkable)[0]]
    cells = np.argwhere(floor.walkable)
    near = np.min([((cells - c) ** 2).sum(axis=1) for c in chosen], axis=0).astype(float)
    reach = (0.85 * spacing / STEP) ** 2
    while near.max() > reach:
        chosen.append(cells[int(near.argmax())])
        near = np.minimum(near, ((cells - chosen[-1]) ** 2).sum(axis=1))
    return np.array(chosen)


def blend(
    floor: FloorMap, points: NDArray[np.int64], spacing: float
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Which grid points blend in each cell, and their shares.

    The share falls with the way walked to the point (not the distance through a wall), to zero at
    1.6 times `spacing`; that makes it continuous.

    Args:
        floor: the map.
        points: `[n, 2]` cells of the grid.
        spacing: metres.

    Returns:
        index `[x, y, 4]` (65535 where there is none) and weight `[x, y, 4]`, of sum 1 where one
        can walk and 0 elsewhere.
    """
    from skimage.graph import MCP_Geometric

    reach = 1.6 * spacing / STEP
    score = np.zeros((*floor.walkable.shape, len(points)), np.float32)
    # A cell's width of margin lets ways cut corners that only the raster of the map makes.
    cost = np.where(binary_dilation(floor.walkable), 1.0, np.inf)
    for k, (x, y) in enumerate(points):
        a, b = max(x - int(reach) - 2, 0), max(y - int(reach) - 2, 0)
        window = np.s_[a : x + int(reach) + 3, b : y + int(reach) + 3]
        way = MCP_Geometric(cost[window]).find_costs([(x - a, y - b)])[0]
        score[(*window, k)] = np.where(way < reach, (1 - np.minimum(way, reach) / reach) ** 2, 0)
    best = np.argsort(-score, axis=2, kind="stable")[..., :BLENDED]
    weight = np.take_along_axis(score, best, axis=2) * floor.walkable[..., None]
    # Less what the fifth would have: a point then comes and goes at zero.
    rest = np.sort(score, axis=2)[..., -BLENDED - 1] if len(points) > BLENDED else 0.0
    weight = np.maximum(weight - np.asarray(rest)[..., None], 0)
    total = weight.sum(axis=2, keepdims=True)
    alone = floor.walkable & (total[..., 0] <= 0)
    weight[alone, 0], total[alone] = 1.0, 1.0
    weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    index = np.where(weight > 0, best, NONE).astype(np.uint16)
    pad = BLENDED - index.shape[2]
    return (
        np.pad(index, ((0, 0), (0, 0), (0, pad)), constant_values=NONE),
        np.pad(weight, ((0, 0), (0, 0), (0, pad))).astype(np.float32),
    )
