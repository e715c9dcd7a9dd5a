"""Flat faces: gone, the mesh as closed as before, the same surface."""

from __future__ import annotations

import numpy as np
import pytest

from piavas.geometry.slivers import flat_faces, flip_flat, part_flat
from piavas.materials.subdivide import subdivide
from piavas.scene import Scene, triangle_areas


def with_flat_face(along: float) -> tuple[np.ndarray, np.ndarray]:
    """A box whose first face is cut at its longest edge, and the neighbour is not: a flat face."""
    box = Scene.shoebox((4, 5, 3))
    vertices, faces = box.vertices, box.faces
    first = faces[0]
    lengths = np.linalg.norm(vertices[first] - vertices[np.roll(first, -1)], axis=1)
    a, b, c = np.roll(first, -int(lengths.argmax()))
    middle = len(vertices)
    vertices = np.vstack([vertices, (1 - along) * vertices[a] + along * vertices[b]])
    cut = np.array([[a, middle, c], [middle, b, c], [a, b, middle]], np.int32)
    return vertices, np.vstack([cut, faces[1:]]).astype(np.int32)


def edges(faces: np.ndarray) -> list[tuple[int, int]]:
    return [(int(f[k]), int(f[(k + 1) % 3])) for f in faces for k in range(3)]


@pytest.mark.parametrize("along", [0.5, 0.1, 0.999])
def test_flat_faces_go_and_the_mesh_stays_closed(along):
    vertices, faces = with_flat_face(along)
    assert (triangle_areas(vertices, faces) < 1e-9).sum() == 1
    flipped = flip_flat(vertices, faces)
    areas = triangle_areas(vertices, flipped)
    assert areas.min() > 1e-6
    assert areas.sum() == pytest.approx(2 * (4 * 5 + 4 * 3 + 5 * 3))
    seen = edges(flipped)
    assert len(set(seen)) == len(seen)
    assert {(b, a) for a, b in seen} == set(seen)
    corners = vertices[flipped]
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert abs(volume) == pytest.approx(60)


def test_a_sound_mesh_is_left_alone():
    box = Scene.shoebox((4, 5, 3))
    np.testing.assert_array_equal(flip_flat(box.vertices, box.faces), box.faces)


def test_vertices_in_one_place_are_parted():
    vertices, faces = with_flat_face(0.5)
    vertices[-1] = vertices[faces[0, 0]]
    assert (triangle_areas(vertices, faces) < 1e-9).sum() == 2
    parted = part_flat(vertices, faces)
    assert triangle_areas(parted, faces).min() > 1e-9
    assert np.abs(parted - vertices).max() < 1e-3


def test_pieces_of_thin_faces_have_area():
    """A vertex a micron off the edge of its face: its area is enough, that of its parts is not."""
    vertices, faces = with_flat_face(0.5)
    vertices[-1] += 1e-9
    assert triangle_areas(vertices, faces).min() > 1e-9
    assert len(flat_faces(vertices, faces)) == 1
    cut = subdivide(vertices, faces, 0.1)
    assert triangle_areas(cut.vertices, cut.faces).min() < 1e-10
    for mended in ((vertices, flip_flat(vertices, faces)), (part_flat(vertices, faces), faces)):
        assert not len(flat_faces(*mended))
        cut = subdivide(*mended, 0.1)
        assert triangle_areas(cut.vertices, cut.faces).min() > 1e-10
