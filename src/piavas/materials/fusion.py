"""Votes of views on faces: each face is heard from where cameras saw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from piavas.capture import Capture
from piavas.materials.recognise.types import Recogniser, Room, View
from piavas.progress import track

F64 = NDArray[np.float64]
AGREE = 0.1  # metres by which the depth image may differ from the face
LEAST_COSINE = 0.05
NEAR = 2.0  # metres from which a view counts half of one close by
NEIGHBOURS = 15
TURN_WORTH = 1.0  # metres that opposite normals count for
LIFT = 2e-3  # metres into the air, so that a face does not hide itself


@dataclass(frozen=True)
class Votes:
    """What views said of `n` faces.

    Args:
        mass: `[n, rows]` sum over views of weight times probability.
        views: `[n]` how many views voted.
        best: `[n]` the frame that voted with most weight, -1 for none.
        spot: `[n, 2]` where in it, pixels of the frame's intrinsics.
    """

    mass: F64
    views: NDArray[np.int32]
    best: NDArray[np.int32]
    spot: F64


def weigh(cosine: F64, distance: F64) -> F64:
    """How much a view counts: by the cosine it sees a face at, less with distance."""
    return np.asarray(cosine / (1 + (distance / NEAR) ** 2))


def cast_votes(room: Room, capture: Capture, recogniser: Recogniser) -> Votes:
    """Ask the recogniser of every frame, and let it vote on every face the frame sees.

    The mean of probabilities is taken (a linear pool), not their product: views of one surface
    err together.
    """
    count = len(room.centre)
    mass = np.zeros((count, len(recogniser.rows)))
    views, best = np.zeros(count, np.int32), np.full(count, -1, np.int32)
    spot, most = np.zeros((count, 2)), np.zeros(count)
    for number, frame in enumerate(track(capture.frames, "recognise materials")):
        view = View(frame, room)
        guess = recogniser.recognise(view)
        if guess is None:
            continue
        row, pixel, weight = seen_from(view)
        h, w = guess.segment.shape
        lens = frame.intrinsics
        v = np.minimum(((pixel[:, 1] + 0.5) * h / lens.height).astype(int), h - 1)
        u = np.minimum(((pixel[:, 0] + 0.5) * w / lens.width).astype(int), w - 1)
        segment = guess.segment[v, u]
        told = segment >= 0
        row, pixel, weight, segment = row[told], pixel[told], weight[told], segment[told]
        mass[row] += weight[:, None] * guess.probability[segment]
        views[row] += 1
        better = weight > most[row]
        row, pixel = row[better], pixel[better]
        most[row], best[row], spot[row] = weight[better], number, pixel
    return Votes(mass, views, best, spot)


def seen_from(view: View) -> tuple[NDArray[np.int64], F64, F64]:
    """Faces that a frame sees, their pixels `[k, 2]` (u, v), and the weights of its votes.

    A depth image that tells otherwise is an objection; no depth is none.
    """
    room, frame = view.room, view.frame
    camera, eye = frame.intrinsics, frame.pose[:3, 3]
    lifted = room.centre + LIFT * room.normal
    way = eye - lifted
    far = np.linalg.norm(way, axis=1)
    cosine = np.einsum("ij,ij->i", way, room.normal) / np.maximum(far, 1e-9)
    local = -way @ frame.pose[:3, :3]
    ahead = -local[:, 2]
    row = np.flatnonzero((cosine > LEAST_COSINE) & (ahead > 0.05))
    u = local[row, 0] / ahead[row] * camera.fx + camera.cx
    v = -local[row, 1] / ahead[row] * camera.fy + camera.cy
    pixel = np.round(np.stack([u, v], axis=1))
    inside = (pixel >= 0).all(axis=1) & (pixel < (camera.width, camera.height)).all(axis=1)
    row, pixel = row[inside], pixel[inside]
    seen = room.caster.visible(lifted[row], np.broadcast_to(eye, (len(row), 3)))
    if frame.depth_path is not None:
        u_, v_ = pixel.astype(int).T
        seen &= ~(np.abs(frame.depth()[v_, u_] - ahead[row]) > AGREE)
    row, pixel = row[seen], pixel[seen]
    return row, pixel, weigh(cosine[row], far[row])


def fill_unseen(mass: F64, centre: F64, normal: F64) -> F64:
    """Distributions `[n, rows]`; faces without votes take those of their nearest neighbours.

    Near is near in position and in normal: an unseen corner of the floor follows the floor.

    Args:
        mass: `[n, rows]` votes.
        centre: `[n, 3]` metres.
        normal: `[n, 3]` unit normals.
    """
    total = mass.sum(axis=1, keepdims=True)
    seen = total[:, 0] > 0
    share = np.divide(mass, total, where=total > 0, out=np.zeros_like(mass))
    if not seen.any() or seen.all():
        return share
    features = np.concatenate([centre, 0.5 * TURN_WORTH * normal], axis=1)
    count = min(NEIGHBOURS, int(seen.sum()))
    distance, index = cKDTree(features[seen]).query(features[~seen], k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    weight = 1 / (distance + 0.05)
    near = share[seen][index]
    share[~seen] = np.einsum("nk,nkl->nl", weight / weight.sum(axis=1, keepdims=True), near)
    return share
