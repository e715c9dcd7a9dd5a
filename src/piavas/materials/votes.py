"""Label images voting on faces, each view by how squarely it saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from piavas.capture import Capture
from piavas.capture.types import Frame
from piavas.progress import track
from piavas.rays import RayCaster

AGREE = 0.1  # metres by which the depth image may differ from the face
LEAST_COSINE = 0.05
NEIGHBOURS = 15
TURN_WORTH = 1.0  # metres that opposite normals count for


@dataclass(frozen=True)
class Places:
    """Where votes are cast: one place a small face.

    Args:
        centre: `[n, 3]` metres.
        normal: `[n, 3]` unit normals into the air.
    """

    centre: NDArray[np.float64]
    normal: NDArray[np.float64]


def cast_votes(
    places: Places, capture: Capture, caster: RayCaster, labels: int
) -> NDArray[np.float64]:
    """Votes `[n, labels]`, each weighted by the cosine it was seen at.

    Args:
        places: what is voted on.
        capture: with label images.
        caster: the mesh, for what hides what.
        labels: number of labels.
    """
    votes = np.zeros((len(places.centre), labels))
    # A little into the air, so that a face does not hide itself.
    lifted = places.centre + 2e-3 * places.normal
    for frame in track(capture.frames, "vote"):
        if frame.label_path is None:
            continue
        _vote(votes, frame, places, lifted, caster)
    return votes


def _vote(
    votes: NDArray[np.float64],
    frame: Frame,
    places: Places,
    lifted: NDArray[np.float64],
    caster: RayCaster,
) -> None:
    camera, eye = frame.intrinsics, frame.pose[:3, 3]
    way = eye - lifted
    far = np.linalg.norm(way, axis=1)
    cosine = np.einsum("ij,ij->i", way, places.normal) / np.maximum(far, 1e-9)
    local = -way @ frame.pose[:3, :3]
    ahead = -local[:, 2]
    row = np.flatnonzero((cosine > LEAST_COSINE) & (ahead > 0.05))
    u = np.round(local[row, 0] / ahead[row] * camera.fx + camera.cx).astype(int)
    v = np.round(-local[row, 1] / ahead[row] * camera.fy + camera.cy).astype(int)
    inside = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    row, u, v = row[inside], u[inside], v[inside]
    seen = caster.visible(lifted[row], np.broadcast_to(eye, (len(row), 3)))
    if frame.depth_path is not None:
        depth = frame.depth()[v, u]
        seen &= ~(np.abs(depth - ahead[row]) > AGREE)  # no depth is no objection
    label = frame.labels()[v, u]
    good = seen & (label >= 0) & (label < votes.shape[1])
    np.add.at(votes, (row[good], label[good]), cosine[row[good]])


def fill_unseen(votes: NDArray[np.float64], places: Places) -> NDArray[np.float64]:
    """Distributions `[n, labels]`; places without votes take those of their nearest neighbours.

    Near is near in position and in normal: an unseen corner of the floor follows the floor.
    """
    total = votes.sum(axis=1, keepdims=True)
    seen = total[:, 0] > 0
    share = np.divide(votes, total, where=total > 0, out=np.zeros_like(votes))
    if not seen.any() or seen.all():
        return share
    features = np.concatenate([places.centre, 0.5 * TURN_WORTH * places.normal], axis=1)
    count = min(NEIGHBOURS, int(seen.sum()))
    distance, index = cKDTree(features[seen]).query(features[~seen], k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    weight = 1 / (distance + 0.05)
    near = share[seen][index]
    share[~seen] = np.einsum("nk,nkl->nl", weight / weight.sum(axis=1, keepdims=True), near)
    return share
