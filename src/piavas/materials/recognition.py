"""What every face is made of, as far as pictures tell; and the materials that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from piavas.capture import Capture
from piavas.materials.fusion import Votes, cast_votes, fill_unseen
from piavas.materials.recognise.surroundings import PLACES
from piavas.materials.recognise.types import Recogniser, Room
from piavas.materials.subdivide import subdivide
from piavas.scene import Material, Mesh

F64 = NDArray[np.float64]
SMALL = 0.15  # metres of the longest edge of a face that votes
OWN_SPREAD = 1.0
"""Of log odds: how far a room's own brick wall is from the brick wall of the table."""
LEAST = 5e-3  # absorption to which log odds are clipped, and below 1 likewise


@dataclass(frozen=True)
class Recognition:
    """Distributions over rows of the table on `n` faces.

    Args:
        room: the faces.
        parent: `[n]` the face of the mesh that each was cut from.
        rows: names of the rows.
        probability: `[n, rows]`.
        votes: what they come from.
    """

    room: Room
    parent: NDArray[np.int64]
    rows: tuple[str, ...]
    probability: F64
    votes: Votes

    @property
    def entropy(self) -> F64:
        """`[n]` nats; 0 where there is no doubt."""
        p = self.probability
        return np.asarray(-(p * np.log(np.maximum(p, 1e-12))).sum(axis=1))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """`[n]` whether any view voted."""
        return self.votes.views > 0

    @property
    def place(self) -> NDArray[np.int64]:
        """`[n]` index into `PLACES`."""
        return self.room.surroundings.place


def recognise(
    mesh: Mesh, capture: Capture, recogniser: Recogniser, prior: F64 | None = None
) -> Recognition:
    """Let every frame vote on every face it sees, and fill the others from their neighbours.

    Args:
        mesh: the room.
        capture: what it was made from.
        recogniser: what looks at frames.
        prior: `[places, rows]` how likely each row is in each place, to others; None for alike.
    """
    vertices, faces, parent = subdivide(mesh.vertices, mesh.faces, SMALL)
    room = Room.of(vertices, faces)
    votes = cast_votes(room, capture, recogniser)
    share = fill_unseen(votes.mass, room.centre, room.normal)
    if prior is not None:
        share = share * prior[room.surroundings.place]
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-30)
    return Recognition(room, parent, recogniser.rows, share, votes)


@dataclass(frozen=True)
class Groups:
    """Faces that are one material for sound.

    Args:
        index: `[n]` group of each face.
        materials: of each group.
        facts: of each group, for the report: area, share seen, confidence, entropy, rows.
    """

    index: NDArray[np.int64]
    materials: tuple[Material, ...]
    facts: tuple[dict[str, Any], ...]


def group(found: Recognition, rows: Sequence[Material]) -> Groups:
    """Faces of one most probable row in one kind of place, with the absorption to expect of them.

    Averages over faces, weighted by area, keep the room's mean absorption exactly what the
    distributions say. The spread of log odds has two parts: which row it is, taken as one draw
    for the whole group since its faces err together, and `OWN_SPREAD`.

    Args:
        found: distributions.
        rows: the materials of its rows.
    """
    top = found.probability.argmax(axis=1)
    key = top * len(PLACES) + found.place
    used, index = np.unique(key, return_inverse=True)
    index = index.reshape(-1)
    area, seen, entropy = found.room.area, found.seen, found.entropy
    total = np.bincount(index, area)
    mixture = np.zeros((len(used), len(rows)))
    np.add.at(mixture, index, area[:, None] * found.probability)
    mixture /= total[:, None]
    materials, facts = [], []
    for k, number in enumerate(used):
        row, place = divmod(int(number), len(PLACES))
        name = f"{rows[row].name} ({PLACES[place]})"
        materials.append(expected(name, mixture[k], rows))
        of = index == k
        facts.append(
            {
                "name": name,
                "area": round(float(total[k]), 3),
                "seen": round(float(area[of & seen].sum() / total[k]), 3),
                "confidence": round(float(mixture[k, row]), 3),
                "entropy": round(float((area * entropy)[of].sum() / total[k]), 3),
                "rows": _likely(mixture[k], rows),
            }
        )
    return Groups(index, tuple(materials), tuple(facts))


def expected(name: str, share: F64, rows: Sequence[Material]) -> Material:
    """The material to expect where `rows` have the probabilities `share`."""
    absorption = np.stack([m.absorption for m in rows])
    mean = share @ absorption
    odds = logit(np.clip(absorption, LEAST, 1 - LEAST))
    off = odds - logit(np.clip(mean, LEAST, 1 - LEAST))
    spread = np.sqrt(OWN_SPREAD**2 + share @ off**2)
    text = ", ".join(f"{100 * p:.0f} % {row}" for row, p in _likely(share, rows).items())
    return Material(
        name,
        mean,
        share @ np.stack([m.scattering for m in rows]),
        np.minimum(share @ np.stack([m.transmission for m in rows]), mean),
        f"expected of {text}",
        spread,
    )


def _likely(share: F64, rows: Sequence[Material]) -> Mapping[str, float]:
    order = np.argsort(-share, kind="stable")[:4]
    return {rows[k].name: round(float(share[k]), 3) for k in order if share[k] >= 0.02}
