"""Light that is traced along its paths: bounces between surfaces, sky and sun through the panes.

What falls onto each visible point is estimated by path tracing (Kajiya 1986) with one light drawn
of all lamps and panes at every bounce (Talbot et al. 2005) and, apart from them, the sun. Textures
are multiplied on afterwards, so that the filter which takes the noise out blurs light only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from piavas.capture.types import Intrinsics
from piavas.twin.finishes import srgb
from piavas.twin.openings import GLASS
from piavas.twin.shade import BULB, DAY, DAYLIGHT, LAMP, LAMP_SIZE, LIFT, Camera, Shot
from piavas.twin.sky import outside
from piavas.twin.world import World

F64 = NDArray[np.float64]
BOUNCES = 4
SAMPLES = 4  # paths of each of the `FINE`² parts of a pixel
FINE = 2
BRIGHTEST = 8.0  # radiance of one indirect path is cut here: fireflies
SUN = np.array(srgb("fff3e0"))
SUNLIGHT = 9.0
SUNNY = 0.6  # share of worlds on a sunny day
PENUMBRA = 0.012  # radians
BALANCE = 0.5
STEPS = (1, 2, 4, 8, 16)
BLOOM = 0.05  # share of light that a lens spreads
ROUGH = 0.12  # radians by which glossy surfaces spread their mirror image


class PathCamera(Camera):
    """Takes pictures of one world by tracing paths of light.

    Args:
        world: what is there.
        intrinsics: the lens.
        samples: paths traced of each part of a pixel.
    """

    def __init__(self, world: World, intrinsics: Intrinsics, samples: int = SAMPLES) -> None:
        super().__init__(world, intrinsics)
        self.samples = samples
        self.fine = Camera(world, _finer(intrinsics))
        self.mi: Any = self.caster.mi

    def shoot(self, pose: F64, seed: int) -> Shot:
        """The view from `pose` `[4, 4]`; `seed` of paths and grain."""
        generator = np.random.default_rng([self.world.seed, seed, 4])
        seen = self.see(pose)
        fine = self.fine.see(pose)
        light = self._shade_fine(fine.place, fine.face, fine.way, generator)
        h, w = self.lens.height, self.lens.width
        light = light.reshape(h, FINE, w, FINE, 3).mean(axis=(1, 3))
        spread = gaussian_filter(np.minimum(light, BRIGHTEST), (w / 60, w / 60, 0))
        image = self._develop(_balanced((1 - BLOOM) * light + BLOOM * spread), generator)
        return Shot(image, seen.depth.reshape(h, w), self._label(seen.face))

    def _shade_fine(
        self, place: F64, face: NDArray[np.int64], way: F64, generator: np.random.Generator
    ) -> F64:
        """Radiance `[n, 3]` of the fine picture."""
        normal, finish = self.normals[face], self.world.finish[face]
        light, sun = self.light(place, normal, int(generator.integers(2**31)))
        mirrored = np.zeros_like(light)
        shiny = self.gloss[finish] > 0
        if shiny.any():
            cosine = np.abs(np.einsum("ij,ij->i", way[shiny], normal[shiny]))
            fresnel = 0.04 + 0.96 * (1 - cosine) ** 5  # Schlick 1994, of a dielectric
            seen = self.mirror(place[shiny], normal[shiny], way[shiny], generator)
            strength = np.minimum(3 * self.gloss[finish[shiny]], 1) * fresnel * 1.5
            mirrored[shiny] = strength[:, None] * seen
        both = self.fine._smooth(np.concatenate([light, mirrored], axis=1), place, normal, STEPS)
        both[:, :3] += self.fine._smooth(sun, place, normal, STEPS[:1])
        glow = self.glow[finish][:, None] * self.colours[finish]
        out = self._albedo(place, normal, finish) * both[:, :3] + both[:, 3:] + glow
        pane = finish == GLASS
        out[pane] = (1.5 if self._sun is None else 2.5) * outside(way[pane], self.world.seed)
        return np.asarray(out)

    def light(
        self, place: F64, normal: F64, seed: int, samples: int | None = None
    ) -> tuple[F64, F64]:
        """Irradiance over pi at points `[n, 3]` of surfaces with normals `[n, 3]`.

        Returns:
            `[n, 3]` of all light but the sun's own, and `[n, 3]` of that, which has sharp edges.
        """
        mi = self.mi
        import drjit as dr

        p, n = self._vector(place + LIFT * normal), self._vector(normal)
        rng = mi.PCG32(size=len(place), initstate=seed)
        soft, sharp = np.zeros(place.shape), np.zeros(place.shape)
        count = samples or self.samples
        for _ in range(count):
            dr.eval(rng.state, rng.inc)
            way = mi.Frame3f(n).to_world(mi.warp.square_to_cosine_hemisphere(_pair(mi, rng)))
            value = self._lamps(p, n, rng) + dr.minimum(self._radiance(p, way, rng), BRIGHTEST)
            beam = self._sunshine(p, n, rng)
            dr.eval(value, beam)
            soft += np.array(value).T
            sharp += np.array(beam).T
        return soft / count, sharp / count

    def mirror(self, place: F64, normal: F64, way: F64, generator: np.random.Generator) -> F64:
        """Radiance `[n, 3]` that comes from where glossy surfaces reflect views `way` to."""
        mi = self.mi
        import drjit as dr

        p = self._vector(place + LIFT * normal)
        rng = mi.PCG32(size=len(place), initstate=int(generator.integers(2**31)))
        total = np.zeros(place.shape)
        for _ in range(self.samples):
            rough = ROUGH * generator.standard_normal(normal.shape)
            bent = normal + rough - np.einsum("ij,ij->i", rough, normal)[:, None] * normal
            bent /= np.linalg.norm(bent, axis=1, keepdims=True)
            back = way - 2 * np.einsum("ij,ij->i", way, bent)[:, None] * bent
            dr.eval(rng.state, rng.inc)
            value = self._radiance(p, self._vector(back), rng, sky=True)
            total += np.array(dr.minimum(value, BRIGHTEST)).T
        return total / self.samples

    def _vector(self, points: F64) -> Any:
        mi = self.mi
        return mi.Vector3f(np.ascontiguousarray(points.T.astype(np.float32)))

    @cached_property
    def _tables(self) -> tuple[Any, Any, Any, Any]:
        """Per-face normals, reflectances, emitted radiances, and whether a face is a pane."""
        mi, finish = self.mi, self.world.finish
        albedo = np.clip(self.colours, 0, 0.95)[finish]
        glow = (self.glow[:, None] * self.colours)[finish]
        glow[finish == GLASS] = 0  # the sky comes by way of the panes' points, not by chance
        flat = [mi.Float(a.astype(np.float32).ravel()) for a in (self.normals, albedo, glow)]
        return flat[0], flat[1], flat[2], mi.UInt32((finish == GLASS).astype(np.uint32))

    @cached_property
    def _sun(self) -> F64 | None:
        """The way to the sun, where it shines."""
        rng = np.random.default_rng([self.world.seed, 42])
        turn, rise = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(18, 45))
        way = np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])
        return way if rng.random() < SUNNY else None

    def _radiance(self, p: Any, way: Any, rng: Any, *, sky: bool = False) -> Any:
        """What comes to `p` along `way` backwards; the sky itself only if asked for."""
        mi = self.mi
        import drjit as dr

        normals, albedo, glow, pane = self._tables
        total, through = mi.Vector3f(0.0), mi.Vector3f(1.0)
        active = mi.Bool(True)
        for bounce in range(BOUNCES):
            hit = self.caster.scene.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(p), way))
            active &= hit.is_valid()
            face = hit.prim_index
            n = dr.gather(mi.Vector3f, normals, face, active)
            active &= dr.dot(n, way) < 0
            total += dr.select(active, through * dr.gather(mi.Vector3f, glow, face, active), 0.0)
            glass = dr.gather(mi.UInt32, pane, face, active) == 1
            if bounce == 0 and sky:
                total += dr.select(active & glass, self._rgb(DAYLIGHT / np.pi * DAY), 0.0)
            active &= ~glass
            through *= dr.gather(mi.Vector3f, albedo, face, active)
            p = p + hit.t * way + LIFT * n
            arriving = self._lamps(p, n, rng) + self._sunshine(p, n, rng)
            total += dr.select(active, through * arriving, 0.0)
            way = mi.Frame3f(n).to_world(mi.warp.square_to_cosine_hemisphere(_pair(mi, rng)))
        return total

    def _rgb(self, colour: F64) -> Any:
        return self.mi.Vector3f(*(float(v) for v in colour))

    def _lamps(self, p: Any, n: Any, rng: Any) -> Any:
        """Irradiance over pi at `p` from one lamp or pane, drawn by what each would give."""
        mi = self.mi
        import drjit as dr

        sum_, spot, colour = mi.Float(0.0), mi.Vector3f(p), mi.Vector3f(0.0)
        lights = [*self._bulbs(p, n, rng), *self._panes(p, n, rng)]
        for weight, there, tint in lights:
            sum_ += weight
            take = rng.next_float32() * sum_ < weight
            spot = dr.select(take, there, spot)
            colour = dr.select(take, self._rgb(tint), colour)
        to = spot - p
        ray = mi.Ray3f(mi.Point3f(p), to)
        ray.maxt = mi.Float(1 - 1e-3)
        lit = ~self.caster.scene.ray_test(ray, sum_ > 0)
        return dr.select(lit & (sum_ > 0), sum_ * colour, 0.0)

    def _bulbs(self, p: Any, n: Any, rng: Any) -> list[tuple[Any, Any, F64]]:
        import drjit as dr

        found = []
        for x, y, z, power in self.world.lights:
            jitter = self.mi.Vector3f(*(rng.next_float32() - 0.5 for _ in range(3)))
            there = self.mi.Vector3f(x, y, z) + LAMP_SIZE * jitter
            to = there - p
            square = dr.squared_norm(to)
            cosine = dr.maximum(dr.dot(to, n) * dr.rsqrt(square), 0)
            found.append((power * cosine / (square + BULB**2), there, LAMP))
        return found

    def _panes(self, p: Any, n: Any, rng: Any) -> list[tuple[Any, Any, F64]]:
        import drjit as dr

        found = []
        for window in self.world.plan.windows:
            room = self.world.plan.rooms[window.room]
            edge = room.high[window.axis] if window.side > 0 else room.low[window.axis]
            spot = [self.mi.Float(0.0)] * 3
            # A little before the pane, which would hide itself.
            spot[window.axis] = self.mi.Float(edge + (window.depth - 1e-3) * window.side)
            spot[1 - window.axis] = window.centre + window.width * (rng.next_float32() - 0.5)
            spot[2] = window.sill + window.height * rng.next_float32()
            there = self.mi.Vector3f(*spot)
            to = there - p
            square = dr.maximum(dr.squared_norm(to), 0.02)
            length = dr.sqrt(square)
            cosine = dr.maximum(dr.dot(to, n) / length, 0)
            facing = dr.maximum(window.side * to[window.axis] / length, 0)
            area = window.width * window.height
            # The upper half of the sky is the brighter one.
            bright = DAYLIGHT * (0.75 + 0.5 * dr.clip(to[2] / length + 0.2, -0.5, 0.5))
            found.append((bright * area * cosine * facing / (np.pi * square), there, DAY))
        return found

    def _sunshine(self, p: Any, n: Any, rng: Any) -> Any:
        mi = self.mi
        import drjit as dr

        if self._sun is None:
            return mi.Vector3f(dr.zeros(mi.Float, dr.width(p)))
        jitter = mi.Vector3f(*(rng.next_float32() - 0.5 for _ in range(3)))
        way = dr.normalize(self._rgb(self._sun) + PENUMBRA * jitter)
        cosine = dr.dot(n, way)
        ray = mi.Ray3f(mi.Point3f(p), way)
        hit = self.caster.scene.ray_intersect_preliminary(ray, False, cosine > 0)
        through = hit.is_valid() & (cosine > 0)
        glass = dr.gather(mi.UInt32, self._tables[3], hit.prim_index, through) == 1
        return dr.select(through & glass, SUNLIGHT * cosine * self._rgb(SUN), 0.0)


def _balanced(light: F64) -> F64:
    """White balance, most of the way to a grey mean, as cameras have it."""
    mean = np.exp(np.log(light + 1e-3).mean(axis=(0, 1)))
    return np.asarray(light * (mean.mean() / mean) ** BALANCE)


def _pair(mi: Any, rng: Any) -> Any:
    return mi.Point2f(rng.next_float32(), rng.next_float32())


def _finer(lens: Intrinsics) -> Intrinsics:
    """The lens with `FINE` times as many pixels each way."""
    shift = (FINE - 1) / 2
    return replace(
        lens,
        width=FINE * lens.width,
        height=FINE * lens.height,
        fx=FINE * lens.fx,
        fy=FINE * lens.fy,
        cx=FINE * lens.cx + shift,
        cy=FINE * lens.cy + shift,
    )
