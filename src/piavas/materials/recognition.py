"""What every face is made of, as far as pictures tell; and the materials that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit, logit

from piavas.capture import Capture
from piavas.materials.fusion import Votes, cast_votes, fill_unseen
from piavas.materials.recognise.surroundings import PLACES
from piavas.materials.recognise.types import Recogniser, Room
from piavas.materials.subdivide import Subdivision, subdivide
from piavas.scene import Material, Mesh

F64 = NDArray[np.float64]
SMALL = 0.15  # metres of the longest edge of a face that votes
SMALLEST = 0.5  # square metres of a group of its own
LITTLE = 0.1  # square metres of a face of the mesh that are not worth cutting it
TOGETHER = 24  # neighbours that are taken for one surface
REACH = 0.25  # metres at which one counts a third of the face itself
TURN_WORTH = 1.0  # metres that opposite normals count for
OWN_SPREAD = 1.0
"""Of log odds: how far a room's own brick wall is from the brick wall of the table."""
MOST = 1e4  # log odds, in units of doubt and absorption, by which absorption may be moved
LEAST = 5e-3  # absorption to which log odds are clipped, and below 1 likewise


@dataclass(frozen=True)
class Recognition:
    """Distributions over rows of the table on `n` faces.

    Args:
        room: the faces.
        cut: of the mesh into them.
        rows: names of the rows.
        probability: `[n, rows]`.
        votes: what they come from.
    """

    room: Room
    cut: Subdivision
    rows: tuple[str, ...]
    probability: F64
    votes: Votes

    @property
    def parent(self) -> NDArray[np.int64]:
        """`[n]` the face of the mesh that each was cut from."""
        return self.cut.parent

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

    def renamed(self, names: Sequence[str]) -> Recognition:
        """With `names` in the place of rows; those of one name are one."""
        rows = tuple(dict.fromkeys(names))
        share = np.zeros((len(self.probability), len(rows)))
        for k, name in enumerate(names):
            share[:, rows.index(name)] += self.probability[:, k]
        return replace(self, rows=rows, probability=share)

    def told(self, row: Sequence[str | None]) -> Recognition:
        """With what is known of some faces of the mesh, which leaves no doubt there.

        Args:
            row: `[f]` of each face of the mesh; None where pictures decide.
        """
        rows = tuple(dict.fromkeys([*self.rows, *(name for name in row if name is not None)]))
        number = np.array([-1 if name is None else rows.index(name) for name in row], np.int64)
        of = number[self.parent]
        share = np.pad(self.probability, ((0, 0), (0, len(rows) - len(self.rows))))
        share[of >= 0] = np.eye(len(rows))[of[of >= 0]]
        return replace(self, rows=rows, probability=share)


def recognise_faces(
    mesh: Mesh, capture: Capture, recogniser: Recogniser, prior: F64 | None = None
) -> Recognition:
    """Let every frame vote on every face it sees, and fill the others from their neighbours.

    Args:
        mesh: the room.
        capture: what it was made from.
        recogniser: what looks at frames.
        prior: `[places, rows]` how likely each row is in each place, to others, for guesses;
            None for labels, which are taken as they are.
    """
    cut = subdivide(mesh.vertices, mesh.faces, SMALL)
    room = Room.of(cut.vertices, cut.faces)
    votes = cast_votes(room, capture, recogniser)
    share = fill_unseen(votes.mass, room.centre, room.normal)
    if prior is not None:
        share = share * prior[room.surroundings.place]
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-30)
        share = _smoothed(share, room)
    return Recognition(room, cut, recogniser.rows, share, votes)


def _smoothed(share: F64, room: Room) -> F64:
    """Each face as its neighbours in place and normal: a speck on a wall is a mistake."""
    features = np.concatenate([room.centre, 0.5 * TURN_WORTH * room.normal], axis=1)
    count = min(TOGETHER, len(share))
    distance, index = cKDTree(features).query(features, k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    weight = np.exp(-((distance / REACH) ** 2)) * room.area[index]
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
    smooth = np.zeros_like(share)
    for k in range(count):  # all at once would take gigabytes
        smooth += weight[:, [k]] * share[index[:, k]]
    return smooth


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
    """Faces of one most probable row in one kind of place, and what they absorb.

    The room's mean absorption is exactly what the distributions say to expect; where it is
    gathered, most probable rows say (`gathered`). The spread of log odds has two parts: which row
    it is, taken as one draw for the whole group since its faces err together, and `OWN_SPREAD`.

    Args:
        found: distributions.
        rows: the materials of its rows.
    """
    key = _whole(_keys(found), found)
    used, index = np.unique(key, return_inverse=True)
    index = index.reshape(-1)
    area, seen, entropy = found.room.area, found.seen, found.entropy
    total = np.bincount(index, area).astype(np.float64)
    mixture = _mixture(found.probability, index, area)
    likely = _mixture(likeliest(found.probability), index, area)
    absorption = gathered(mixture, likely, total, rows)
    materials, facts = [], []
    for k, number in enumerate(used):
        row, place = divmod(int(number), len(PLACES))
        name = f"{rows[row].name} ({PLACES[place]})"
        materials.append(material_of(name, mixture[k], absorption[k], rows))
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


def _keys(found: Recognition) -> NDArray[np.int64]:
    """Row and place in one number; rows too small for a group join the next likely that is not."""
    share, place = found.probability, found.place
    shape = (len(PLACES), share.shape[1])
    cell = place * shape[1] + share.argmax(axis=1)
    area = np.bincount(cell, found.room.area, shape[0] * shape[1]).reshape(shape)
    kept = (area >= SMALLEST) | (area == area.max(axis=1, keepdims=True))
    top = np.where(kept[place], share, -1.0).argmax(axis=1)
    return np.asarray(top * len(PLACES) + place)


def _whole(key: NDArray[np.int64], found: Recognition) -> NDArray[np.int64]:
    """Faces of the mesh of which only a little is of other groups are of one."""
    pair, cell = np.unique(found.parent * (key.max() + 1) + key, return_inverse=True)
    area = np.bincount(cell.reshape(-1), found.room.area)
    parent, of = np.divmod(pair, key.max() + 1)
    order = np.lexsort((area, parent))  # the largest part of each parent comes last
    last = np.flatnonzero(np.diff(parent[order], append=-1))
    total = np.bincount(parent, area)
    main, rest = np.zeros(len(total), np.int64), np.zeros(len(total))
    main[parent[order][last]] = of[order][last]
    rest[parent[order][last]] = total[parent[order][last]] - area[order][last]
    return np.where(rest[found.parent] < LITTLE, main[found.parent], key)


def likeliest(share: F64) -> F64:
    """`[n, rows]` with 1 for the most probable row of each."""
    return np.asarray(np.eye(share.shape[1])[share.argmax(axis=1)])


def _mixture(share: F64, index: NDArray[np.int64], area: F64) -> F64:
    """`[groups, rows]` means of `[n, rows]`, weighted by area."""
    mixture = np.zeros((int(index.max()) + 1, share.shape[1]))
    np.add.at(mixture, index, area[:, None] * share)
    return np.asarray(mixture / mixture.sum(axis=1, keepdims=True))


def gathered(mixture: F64, likely: F64, area: F64, rows: Sequence[Material]) -> F64:
    """Absorption `[groups, bands]` of likely rows, moved until the room's mean is the expected one.

    The absorption to expect of each group would give each hard surface a part of all soft things:
    late sound, which lives where surfaces are hard, would die too soon. So groups absorb as their
    most probable rows do, and what then lacks in the mean absorption, in each band, is given in log
    odds, in proportion to how far the rows of a group are apart and to how much it absorbs: to what
    is soft and in doubt. Where there is no doubt, nothing moves.

    Args:
        mixture: `[groups, rows]` probabilities.
        likely: `[groups, rows]` shares of the rows that are most probable.
        area: `[groups]`.
        rows: the materials of the rows.
    """
    absorption = np.stack([m.absorption for m in rows])
    share = area / area.sum()
    odds = logit(np.clip(absorption, LEAST, 1 - LEAST))
    apart = np.sqrt(np.maximum(mixture @ odds**2 - (mixture @ odds) ** 2, 0))
    start = likely @ absorption
    from_odds = logit(np.clip(start, LEAST, 1 - LEAST))
    free, weight = apart > LEAST, apart * np.maximum(start, LEAST)
    lack = share @ (mixture @ absorption - start)
    low, high = np.full((2, absorption.shape[1]), [[-MOST], [MOST]])
    for _ in range(60):  # bisection: the mean grows with the move
        move = (low + high) / 2
        more = share @ np.where(free, expit(from_odds + move * weight) - expit(from_odds), 0) < lack
        low, high = np.where(more, move, low), np.where(more, high, move)
    moved = expit(from_odds + low * weight) - expit(from_odds)
    return np.asarray(np.clip(start + np.where(free, moved, 0), 0, 1))


def material_of(name: str, share: F64, absorption: F64, rows: Sequence[Material]) -> Material:
    """The material of a group in which `rows` have the probabilities `share`."""
    odds = logit(np.clip(np.stack([m.absorption for m in rows]), LEAST, 1 - LEAST))
    off = odds - logit(np.clip(absorption, LEAST, 1 - LEAST))
    spread = np.sqrt(OWN_SPREAD**2 + share @ off**2)
    text = ", ".join(f"{100 * p:.0f} % {row}" for row, p in _likely(share, rows).items())
    return Material(
        name,
        absorption,
        share @ np.stack([m.scattering for m in rows]),
        np.minimum(share @ np.stack([m.transmission for m in rows]), absorption),
        f"expected of {text}",
        spread,
    )


def _likely(share: F64, rows: Sequence[Material]) -> Mapping[str, float]:
    order = np.argsort(-share, kind="stable")[:4]
    return {rows[k].name: round(float(share[k]), 3) for k in order if share[k] >= 0.02}
