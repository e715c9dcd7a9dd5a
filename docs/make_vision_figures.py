"""Make `docs/figures/vision-*`: pictures of a generated apartment, and the mesh made from them.

    python docs/make_vision_figures.py [--seed 5] [--gable 4] [--work DIR]

Pictures with depth are taken of the apartment, its mesh is reconstructed from them and drawn from
above, with faces coloured by whether they were observed, inferred or invented; a second one, under
gables, is drawn from the side. What an earlier run left in DIR is used again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from piavas.capture import load_capture
from piavas.geometry import reconstruct
from piavas.plot.dollhouse import mesh_picture
from piavas.plot.style import to_png
from piavas.scene import Material, Mesh, Scene
from piavas.twin import generate_capture

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "figures"
NAMES = ("observed", "inferred", "invented", "open")
PICTURES = 4
GAP = 6  # pixels between pictures


def by_origin(mesh: Mesh) -> Scene:
    """`mesh` as a scene whose materials are the origins of its faces."""
    assert mesh.origin is not None
    names = tuple(Material(name, np.float64(0.5)) for name in NAMES)
    return Scene(mesh.vertices, mesh.faces, mesh.origin.astype(np.int32), names)


def draw(mesh: Mesh, name: str, elevation: float) -> None:
    """Write a picture in light and one in dark."""
    for theme in ("light", "dark"):
        figure = mesh_picture(by_origin(mesh), elevation=elevation, dark=theme == "dark")
        (OUT / f"vision-{name}-{theme}.png").write_bytes(to_png(figure, 110))


def main() -> None:
    """Draw both, the mesh in light and in dark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--gable", type=int, default=4)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "vision-figures")
    options = parser.parse_args()
    generate_capture(options.work, options.seed)
    capture = load_capture(options.work)
    chosen = np.linspace(0, len(capture) - 1, PICTURES + 2)[1:-1].astype(int)
    pictures = [cv2.imread(str(capture.frames[i].image_path)) for i in chosen]
    bar = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    row = [piece for picture in pictures for piece in (picture, bar)][:-1]
    cv2.imwrite(str(OUT / "vision-images.jpg"), np.hstack(row), [cv2.IMWRITE_JPEG_QUALITY, 85])
    draw(reconstruct(capture), "mesh", 62)
    folder = options.work.with_name(options.work.name + "-gable")
    generate_capture(folder, options.gable, rooms=2, ceiling="gabled")
    draw(reconstruct(load_capture(folder)), "gable", 8)


if __name__ == "__main__":
    main()
