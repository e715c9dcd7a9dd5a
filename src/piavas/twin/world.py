"""A generated world: its exact air, what every face is made of, its lights and its free floor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from piavas.errors import DataError
from piavas.files import read_json, write_json
from piavas.scene import Material, Mesh, Scene
from piavas.twin.finishes import MATERIALS, Finish
from piavas.twin.furnish import Light, furnish, start_palette
from piavas.twin.openings import Footprint, build_shell
from piavas.twin.plan import Plan, Room, make_plan
from piavas.twin.roofs import CeilingKind, build_roofs, draw_roofs
from piavas.twin.solids import carve

STEP = 0.05  # metres of the floor map
PLANS = 50  # drawn until one takes the ceiling asked for
STOOP = 1.9  # metres of headroom under which nobody walks
TRUTH_MESH, TRUTH = "mesh.ply", "world.json"


@dataclass(frozen=True)
class World:
    """A furnished apartment.

    Args:
        seed: it was made from.
        mesh: its air, exactly; normals into the air.
        finish: `[f]` finish of each face.
        finishes: looks and materials.
        plan: rooms, doorways and windows.
        taken: floor that furniture stands on.
        lights: lamps.
        rooms: how many rooms were asked for, None for a drawn number.
        ceiling: what the ceilings are.
    """

    seed: int
    mesh: Mesh
    finish: NDArray[np.int32]
    finishes: tuple[Finish, ...]
    plan: Plan
    taken: tuple[Footprint, ...]
    lights: tuple[Light, ...]
    rooms: int | None = None
    ceiling: CeilingKind = "level"

    @property
    def face_material(self) -> NDArray[np.int32]:
        """`[f]` index into `MATERIALS`."""
        index = np.array([MATERIALS.index(f.material) for f in self.finishes], np.int32)
        return index[self.finish]

    def scene(self, table: Mapping[str, Material] | None = None) -> Scene:
        """The exact scene, with the table's materials or those given by name."""
        from piavas.materials import load_table

        table = table if table is not None else load_table()
        used, index = np.unique(self.face_material, return_inverse=True)
        rows = tuple(table[MATERIALS[k]] for k in used)
        return Scene(self.mesh.vertices, self.mesh.faces, index.astype(np.int32), rows)

    def floor_map(self, clearance: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Where a person can stand: `[x, y]` cells of 5 cm, and the place of the first cell."""
        low = np.min([room.low for room in self.plan.rooms], axis=0)
        high = np.max([room.high for room in self.plan.rooms], axis=0)
        shape = np.ceil((high - low) / STEP).astype(int) + 1
        x, y = (low[k] + STEP * np.arange(shape[k]) for k in (0, 1))
        free = np.zeros(shape, bool)

        def mark(a: tuple[float, float], b: tuple[float, float], value: bool) -> None:
            inside = ((x >= a[0]) & (x <= b[0]))[:, None] & ((y >= a[1]) & (y <= b[1]))[None]
            free[inside] = value

        for index, room in enumerate(self.plan.rooms):
            mark(room.low, room.high, True)
            roof = self.plan.roof(index)
            if roof:
                low_there = np.interp((x, y)[roof.axis], roof.at, roof.heights) < STOOP
                beneath = np.expand_dims(low_there, 1 - roof.axis)
                free &= ~(beneath & _within(room, x, y))
        for door in self.plan.doorways:
            half = [0.2, 0.2]
            half[1 - door.axis] = door.width / 2
            a = (door.centre[0] - half[0], door.centre[1] - half[1])
            mark(a, (door.centre[0] + half[0], door.centre[1] + half[1]), True)
        for spot in self.taken:
            mark(spot.low, spot.high, False)
        padded = np.pad(free, 1)
        far = distance_transform_edt(padded)[1:-1, 1:-1] * STEP
        return far > clearance, low

    def free_points(
        self, count: int, seed: int, height: float = 1.5, clearance: float = 0.4
    ) -> NDArray[np.float64]:
        """Places `[count, 3]` over free floor, far from each other (farthest of many draws)."""
        free, low = self.floor_map(clearance)
        cells = np.argwhere(free)
        if not len(cells):
            raise DataError("has no free floor", field="clearance", mend="ask for less clearance")
        generator = np.random.default_rng([self.seed, seed])
        chosen = [cells[generator.integers(len(cells))]]
        while len(chosen) < count:
            tries = cells[generator.integers(len(cells), size=40)]
            gap = np.min(((tries[:, None] - np.array(chosen)[None]) ** 2).sum(-1), axis=1)
            chosen.append(tries[int(gap.argmax())])
        places = low + STEP * np.array(chosen)
        return np.concatenate([places, np.full((count, 1), height)], axis=1)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the truth: the mesh and what its faces are."""
        from piavas.geometry import save_mesh

        folder = Path(folder)
        save_mesh(self.mesh, folder / TRUTH_MESH)
        names = [MATERIALS[k] for k in np.unique(self.face_material)]
        write_json(
            folder / TRUTH,
            {
                "seed": self.seed,
                "asked_rooms": self.rooms,
                "materials": names,
                "rooms": [asdict(room) for room in self.plan.rooms],
                "doorways": [asdict(door) for door in self.plan.doorways],
                "windows": [asdict(window) for window in self.plan.windows],
                **self._roofs(),
            },
        )

    def _roofs(self) -> dict[str, Any]:
        """Of the truth, what worlds with level ceilings lack."""
        if self.ceiling == "level":
            return {}
        roofs = [asdict(roof) if roof else None for roof in self.plan.roofs]
        return {"ceiling": self.ceiling, "roofs": roofs}


def _within(room: Room, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(
        ((x >= room.low[0]) & (x <= room.high[0]))[:, None]
        & ((y >= room.low[1]) & (y <= room.high[1]))[None]
    )


def make_world(seed: int, rooms: int | None = None, ceiling: CeilingKind = "level") -> World:
    """The world of `seed`, with so many rooms (2 to 4; None draws the number).

    Raises:
        DataError: `ceiling` is unknown, or no room of many plans can have such a one.
    """
    rng = np.random.default_rng([seed, 7])
    plan = _roofed_plan(rng, rooms, ceiling, np.random.default_rng([seed, 29]))
    palette, looks = start_palette(rng, plan)
    interior = furnish(plan, palette, looks)
    interior.kit += build_roofs(plan, looks)
    air = carve(build_shell(plan, looks), interior.kit)
    mesh = Mesh(air.vertices, air.faces, None, {"seed": seed})
    return World(
        seed,
        mesh,
        air.finish,
        tuple(palette.finishes),
        plan,
        tuple(interior.taken),
        tuple(interior.lights),
        rooms,
        ceiling,
    )


def _roofed_plan(rng: Generator, rooms: int | None, ceiling: CeilingKind, roofs: Generator) -> Plan:
    """The first drawn plan some room of which takes such a ceiling over its doorways."""
    for _ in range(PLANS):
        plan = draw_roofs(make_plan(rng, rooms), ceiling, roofs)
        if plan is not None:
            return plan
    raise DataError(
        f"has no room for a {ceiling} ceiling", field="seed", mend="take another seed or kind"
    )


def load_world(folder: str | os.PathLike[str]) -> World:
    """The world that `World.save` wrote in `folder`: made anew from its seed and compared.

    Raises:
        DataError: the folder holds no world, or this version makes another one of its seed.
    """
    from piavas.geometry import load_mesh

    folder = Path(folder)
    data = read_json(folder / TRUTH)
    world = make_world(int(data["seed"]), data["asked_rooms"], data.get("ceiling", "level"))
    saved = load_mesh(folder / TRUTH_MESH)
    if saved.vertices.shape != world.mesh.vertices.shape or not np.allclose(
        saved.vertices, world.mesh.vertices
    ):
        raise DataError(
            "this version makes another world of that seed", file=folder, mend="generate it anew"
        )
    return world
