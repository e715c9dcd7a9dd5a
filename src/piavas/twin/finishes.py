"""What surfaces look like and what they are made of: a seeded palette for one world."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

MATERIALS = (
    "painted plaster",
    "gypsum board",
    "brick",
    "concrete",
    "window glass",
    "wood floor",
    "parquet",
    "carpet on concrete",
    "carpet on foam",
    "ceramic tile",
    "wooden door",
    "wooden furniture",
    "upholstered sofa",
    "mattress",
    "heavy curtain",
    "light curtain",
    "bookshelf with books",
    "metal appliance",
    "acoustic ceiling tile",
    "plant",
    "wallpaper on plaster",
    "wood panelling",
    "leather sofa",
    "marble",
    "linoleum",
    "cork floor",
    "picture or mirror",
)
"""Names of materials; label images hold the index into this tuple."""

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Finish:
    """A surface's material and look.

    Args:
        material: one of `MATERIALS`.
        pattern: a texture of `piavas.twin.textures`.
        colour: mean reflectance, linear RGB.
        contrast: of the texture.
        seed: of the texture.
        gloss: share of a mirror-like highlight, 0 to 1.
        glow: radiance of a lamp's shade or bulb, relative to white paper in a lit room.
    """

    material: str
    pattern: str
    colour: RGB
    contrast: float = 1.0
    seed: int = 0
    gloss: float = 0.0
    glow: float = 0.0


def srgb(code: str) -> RGB:
    """Linear RGB of a hexadecimal sRGB colour (IEC 61966-2-1)."""
    value = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear[0]), float(linear[1]), float(linear[2])


WOODS = ("8a5a36", "b07d4b", "c8a06c", "6b4429", "a4703f", "d6b98c", "54382a")
WALLS = ("efe9dd", "e8e4da", "dfe4e2", "e9dcc6", "cfd8d0", "d9cfc4", "c7d0d9", "e6cdb9", "f1efe8")
ACCENTS = ("8fa3a0", "b98b6d", "6f8094", "a3a380", "c2a37a", "94747a", "5f7f6d")
FABRICS = ("6d7c8c", "a0896b", "7d8f74", "9c5b4a", "4f5d75", "b8ad9a", "8a6f8e", "d0c3ae", "3f5c5a")
BRIGHTS = ("c8553d", "e0a458", "588b8b", "7a9e7e", "d4a5a5", "46637f", "cdb4a0", "f2e8cf")
RUGS = ("8c3b3b", "44546a", "a58f6f", "6b705c", "b08968", "5e548e", "7f9183", "cbc0ad")


@dataclass
class Palette:
    """Finishes of one world, by index; `add` gives the index of a new or known one."""

    rng: Generator
    finishes: list[Finish] = field(default_factory=list)

    def add(self, finish: Finish) -> int:
        """Index of `finish`."""
        if finish not in self.finishes:
            self.finishes.append(finish)
        return self.finishes.index(finish)

    def make(
        self,
        material: str,
        pattern: str,
        codes: str | tuple[str, ...],
        *,
        contrast: float = 1.0,
        gloss: float = 0.0,
        glow: float = 0.0,
    ) -> int:
        """A new finish: a colour drawn from `codes` and moved a little, its own texture."""
        code = codes if isinstance(codes, str) else str(self.rng.choice(codes))
        tint = np.clip(np.array(srgb(code)) * self.rng.uniform(0.88, 1.1, 3), 0.01, 0.92)
        colour = (float(tint[0]), float(tint[1]), float(tint[2]))
        seed = int(self.rng.integers(2**31))
        return self.add(Finish(material, pattern, colour, contrast, seed, gloss, glow))

    def wood(self, material: str = "wooden furniture", gloss: float = 0.12) -> int:
        """A wood of its own tone."""
        return self.make(material, "wood", WOODS, gloss=gloss)

    def fabric(self, material: str = "upholstered sofa", codes: tuple[str, ...] = FABRICS) -> int:
        """A woven cloth."""
        return self.make(material, "weave", codes, contrast=1.3)


@dataclass(frozen=True)
class RoomLook:
    """Finishes of one room's shell and of what belongs to it."""

    floor: int
    ceiling: int
    wall: int
    feature: int
    trim: int
    wood: int
    fabric: int
    curtain: int
    rug: int
    metal: int


FLOORS = {
    "living": ("wood floor", "parquet", "cork floor"),
    "bedroom": ("wood floor", "carpet on foam", "parquet"),
    "kitchen": ("ceramic tile", "linoleum", "ceramic tile"),
    "study": ("wood floor", "carpet on concrete", "parquet"),
}
_FLOOR_LOOK = {
    "wood floor": ("planks", WOODS[1:6], 0.15),
    "parquet": ("parquet", WOODS[:5], 0.18),
    "cork floor": ("cork", ("b58a5c", "a47a4f"), 0.03),
    "carpet on foam": ("pile", ("a99c8a", "8d8f94", "9a8f86", "7f8a88"), 0.0),
    "carpet on concrete": ("pile", ("6d7278", "7b7468", "5f6a72"), 0.0),
    "ceramic tile": ("tiles", ("cfc8bb", "b9b4ab", "d8d5cc", "a6998a"), 0.25),
    "linoleum": ("marble", ("a9a08c", "8f9a8f", "b3a58c"), 0.08),
}


def room_look(palette: Palette, kind: str) -> RoomLook:
    """Draw the finishes of a room of one kind."""
    rng = palette.rng
    wall = palette.make("painted plaster", "plaster", WALLS, contrast=0.5)
    return RoomLook(
        floor=_floor(palette, kind),
        ceiling=_ceiling(palette, kind),
        wall=wall,
        feature=_feature(palette, kind) if rng.random() < 0.6 else wall,
        trim=palette.make("wooden door", "paint", ("f0ede6", "e4dccb", "ffffff"), gloss=0.1),
        wood=palette.wood(),
        fabric=palette.fabric(),
        curtain=_curtain(palette),
        rug=palette.make("carpet on foam", "rug", RUGS, contrast=1.2),
        metal=palette.make("metal appliance", "brushed", ("8f9194", "4a4c50"), gloss=0.3),
    )


def _floor(palette: Palette, kind: str) -> int:
    material = str(palette.rng.choice(FLOORS[kind]))
    pattern, codes, gloss = _FLOOR_LOOK[material]
    return palette.make(material, pattern, codes, gloss=gloss)


def _ceiling(palette: Palette, kind: str) -> int:
    if kind == "study" and palette.rng.random() < 0.5:
        return palette.make("acoustic ceiling tile", "acoustic", "e6e4de")
    material = str(palette.rng.choice(("painted plaster", "gypsum board")))
    return palette.make(material, "plaster", "f2f0ea", contrast=0.35)


def _feature(palette: Palette, kind: str) -> int:
    options = {
        "living": ("brick", "wood panelling", "wallpaper on plaster"),
        "bedroom": ("wallpaper on plaster", "wood panelling", "wallpaper on plaster"),
        "kitchen": ("ceramic tile", "wallpaper on plaster", "brick"),
        "study": ("wallpaper on plaster", "wood panelling", "concrete"),
    }
    material = str(palette.rng.choice(options[kind]))
    look = {
        "brick": ("bricks", ("9a5240", "a8705a", "d9cfc6"), 1.0),
        "wood panelling": ("planks", WOODS[:6], 1.0),
        "wallpaper on plaster": ("wallpaper", ACCENTS, 1.0),
        "ceramic tile": ("tiles", ("d6dad8", "9fb0ae", "e3dccb"), 1.0),
        "concrete": ("concrete", ("96948f", "a5a29c"), 1.0),
    }
    pattern, codes, contrast = look[material]
    return palette.make(material, pattern, codes, contrast=contrast)


def _curtain(palette: Palette) -> int:
    if palette.rng.random() < 0.6:
        return palette.make("heavy curtain", "weave", FABRICS, contrast=1.2)
    return palette.make("light curtain", "weave", ("e9e2d2", "dfe3e4", "efe6da"), contrast=0.7)
