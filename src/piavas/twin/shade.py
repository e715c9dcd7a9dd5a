"""A fast shaded ray caster: textures, lamps, daylight, soft shadows, a first guess at the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from piavas.capture.types import Intrinsics
from piavas.rays import RayCaster
from piavas.twin.finishes import MATERIALS, srgb
from piavas.twin.openings import GLASS
from piavas.twin.sky import outside
from piavas.twin.smooth import STEPS, smooth
from piavas.twin.textures import look_up
from piavas.twin.world import World

F64 = NDArray[np.float64]
LIFT = 1e-3
ASIDE, TRIES = 1e-4, 50  # radians beside a ray that slipped through, and how often to look
LAMP = np.array(srgb("fff0d8"))
DAY = np.array(srgb("dcecff"))
BULB = 0.3  # metres, about: nearer than that a lamp's light grows no more
LAMP_SIZE = 0.12  # metres over which a lamp's shadow is soft
DAYLIGHT = 3.2
AMBIENT = 0.42
CREVICE = 0.7  # metres within which near surfaces darken a corner
FEELERS = 6
EXPOSURE = 1.05
CONTRAST = 1.12


@dataclass(frozen=True)
class Shot:
    """What a camera sees.

    Args:
        image: `[h, w, 3]` sRGB bytes.
        depth: `[h, w]` z-depth in metres.
        label: `[h, w]` index into `MATERIALS`.
    """

    image: NDArray[np.uint8]
    depth: F64
    label: NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """What the rays of the pixels meet.

    Args:
        place: `[n, 3]` metres.
        face: `[n]` of the world's mesh.
        way: `[n, 3]` unit vectors.
        depth: `[n]` z-depth in metres.
    """

    place: F64
    face: NDArray[np.int64]
    way: F64
    depth: F64


class Camera:
    """Takes pictures of one world.

    Args:
        world: what is there.
        intrinsics: the lens.
    """

    def __init__(self, world: World, intrinsics: Intrinsics) -> None:
        self.world, self.lens = world, intrinsics
        self.caster = RayCaster(world.mesh.vertices, world.mesh.faces)
        a, b, c = np.moveaxis(world.mesh.triangles, 1, 0)
        normal = np.cross(b - a, c - a)
        self.normals = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
        self.labels = world.face_material
        self.colours = np.array([finish.colour for finish in world.finishes])
        self.glow = np.array([finish.glow for finish in world.finishes])
        self.gloss = np.array([finish.gloss for finish in world.finishes])

    @cached_property
    def _rays(self) -> F64:
        """Directions `[h w, 3]` of the pixels in the camera's frame, z-depth 1."""
        lens = self.lens
        v, u = np.mgrid[0 : lens.height, 0 : lens.width]
        x, y = (u - lens.cx) / lens.fx, -(v - lens.cy) / lens.fy
        return np.stack([x, y, -np.ones(u.shape)], axis=-1).reshape(-1, 3)

    def see(self, pose: F64) -> Seen:
        """What the pixels' rays meet from `pose` `[4, 4]`."""
        way = self._rays @ pose[:3, :3].T
        length = np.linalg.norm(way, axis=1)
        way = way / length[:, None]
        start = np.broadcast_to(pose[:3, 3], way.shape)
        distance, face = self.caster.closest(start, way)
        distance, face = distance.copy(), face.copy()
        # A ray may slip between two triangles by rounding: the world is closed, look beside it.
        generator = np.random.default_rng([self.world.seed, 12])
        for _ in range(TRIES):
            lost = np.flatnonzero(face < 0)
            if not len(lost):
                break
            aside = way[lost] + ASIDE * generator.standard_normal((len(lost), 3))
            aside /= np.linalg.norm(aside, axis=1, keepdims=True)
            distance[lost], face[lost] = self.caster.closest(start[lost], aside)
        return Seen(pose[:3, 3] + distance[:, None] * way, face, way, distance / length)

    def shoot(self, pose: F64, seed: int) -> Shot:
        """The view from `pose` `[4, 4]`; `seed` of its grain and soft shadows."""
        generator = np.random.default_rng([self.world.seed, seed, 3])
        seen = self.see(pose)
        shape = (self.lens.height, self.lens.width)
        light = self._shade(seen.place, seen.face, seen.way, generator)
        image = self._develop(light.reshape(*shape, 3), generator)
        return Shot(image, seen.depth.reshape(shape), self._label(seen.face))

    def _label(self, face: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.labels[face].reshape(self.lens.height, self.lens.width).astype(np.uint8)

    def _shade(
        self, place: F64, face: NDArray[np.int64], way: F64, generator: np.random.Generator
    ) -> F64:
        """Radiance `[n, 3]`."""
        normal, finish = self.normals[face], self.world.finish[face]
        lifted = place + LIFT * normal
        up = 0.85 + 0.15 * normal[:, 2]
        ambient = AMBIENT * self._openness(lifted, normal, generator) * up
        warm, shine = 0.6 * ambient, np.zeros(len(place))
        for lamp in self.world.lights:
            here, sparkle = self._lamp(np.array(lamp[:3]), lamp[3], lifted, normal, way, generator)
            warm += here
            shine += sparkle
        cool = 0.4 * ambient + self._daylight(lifted, normal, generator)
        light = self._smooth(np.stack([warm, cool, shine], axis=1), place, normal)
        total = light[:, :1] * LAMP + light[:, 1:2] * DAY
        glow = self.glow[finish][:, None] * self.colours[finish]
        shone = (self.gloss[finish] * light[:, 2])[:, None]
        out = self._albedo(place, normal, finish) * total + shone + glow
        pane = finish == GLASS
        out[pane] = outside(way[pane], self.world.seed)
        return np.asarray(out)

    def _smooth(self, light: F64, place: F64, normal: F64, steps: tuple[int, ...] = STEPS) -> F64:
        shape = (self.lens.height, self.lens.width, -1)
        value, points, way = (a.reshape(shape) for a in (light, place, normal))
        return smooth(value, points, way, steps).reshape(light.shape)

    def _albedo(self, place: F64, normal: F64, finish: NDArray[np.int32]) -> F64:
        out = self.colours[finish].copy()
        for index in np.unique(finish):
            row = finish == index
            look = self.world.finishes[index]
            out[row] *= look_up(look.pattern, look.seed, look.contrast, place[row], normal[row])[
                :, None
            ]
        return np.clip(out, 0, 0.95)

    def _openness(self, place: F64, normal: F64, generator: np.random.Generator) -> F64:
        """Share of the nearby hemisphere that nothing closes in on."""
        total = np.zeros(len(place))
        for _ in range(FEELERS):
            way = generator.normal(size=place.shape)
            way = normal + way / np.linalg.norm(way, axis=1, keepdims=True)
            way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
            distance, _ = self.caster.closest(place, way)
            total += np.clip(distance / CREVICE, 0.15, 1)
        return total / FEELERS

    def _lamp(
        self,
        lamp: F64,
        power: float,
        place: F64,
        normal: F64,
        way: F64,
        generator: np.random.Generator,
    ) -> tuple[F64, F64]:
        """Irradiance and highlight of one lamp."""
        spot = lamp + LAMP_SIZE * (generator.random(place.shape) - 0.5)
        to = spot - place
        square = (to**2).sum(axis=1) + BULB**2
        cosine = np.einsum("ij,ij->i", to, normal) / np.sqrt(square)
        row = np.flatnonzero((cosine > 0) & (power * cosine / square > 0.004))
        lit = np.zeros(len(place))
        lit[row] = self.caster.visible(place[row], spot[row])
        half = to / np.sqrt(square)[:, None] - way
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
        sparkle = np.clip(np.einsum("ij,ij->i", half, normal), 0, 1) ** 60
        return lit * power * np.clip(cosine, 0, 1) / square, lit * 0.5 * power * sparkle

    def _daylight(self, place: F64, normal: F64, generator: np.random.Generator) -> F64:
        """Light of the sky through every window, from one random point of each."""
        total = np.zeros(len(place))
        for window in self.world.plan.windows:
            room = self.world.plan.rooms[window.room]
            axis = window.axis
            edge = room.high[axis] if window.side > 0 else room.low[axis]
            spot = np.empty(place.shape)
            spot[:, axis] = edge + 0.5 * window.depth * window.side
            spot[:, 1 - axis] = window.centre + window.width * (generator.random(len(place)) - 0.5)
            spot[:, 2] = window.sill + window.height * generator.random(len(place))
            to = spot - place
            square = np.maximum((to**2).sum(axis=1), 0.1)
            far = np.sqrt(square)
            cosine = np.clip(np.einsum("ij,ij->i", to, normal) / far, 0, 1)
            facing = np.clip(window.side * to[:, axis] / far, 0, 1)
            value = DAYLIGHT * window.width * window.height * cosine * facing / (np.pi * square)
            row = np.flatnonzero(value > 0.004)
            value[row] *= self.caster.visible(place[row], spot[row])
            total += np.where(value > 0.004, value, 0)
        return total

    def _develop(self, light: F64, generator: np.random.Generator) -> NDArray[np.uint8]:
        """Film: exposure, shoulder (Reinhard 2002), vignette, grain, sRGB."""
        h, w = light.shape[:2]
        grey = float(np.exp(np.log(light.mean(axis=2) + 1e-3).mean()))
        exposed = light * (EXPOSURE * 0.42 / grey) ** 0.6
        mapped = exposed * (1 + exposed / 6.0) / (1 + exposed)
        v, u = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        mapped *= (1 - 0.1 * (u**2 + v**2))[..., None]
        mapped = np.clip(mapped * 1.25, 0, 1) ** CONTRAST
        coded = np.where(mapped <= 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
        grain = generator.normal(0, 0.006, (h, w, 1))
        return np.clip(np.round(255 * (coded + grain)), 0, 255).astype(np.uint8)


LABELS = dict(enumerate(MATERIALS))
"""Names of the indices of label images."""
