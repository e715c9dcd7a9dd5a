"""Read models of COLMAP: `cameras` and `images`, as `.bin` or as `.txt`.

The model lies in the folder itself, in `sparse/` or in `sparse/0/`; the pictures in `images/` in
the folder or above the model. Read: SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, RADIAL, OPENCV, and
FULL_OPENCV without k4 to k6. Sparse points (`points3D`, which may be absent) become what is known
of the depth of each image that shows them, `Frame.points`.

COLMAP stores world-to-camera quaternions, w first, with OpenCV axes, and puts the centre of the
first pixel at (0.5, 0.5); poses come out camera-to-world with OpenGL axes, principal points half a
pixel less. Its world has no scale (`Capture.metric` is False) and no upward axis: that is
estimated by `piavas.capture.gravity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from piavas.capture.colmap_files import Bytes, Sparse, broken, lines, read_points
from piavas.capture.gravity import OPENCV_TO_OPENGL, align_to_gravity
from piavas.capture.images import check_header
from piavas.capture.types import Capture, Frame, Intrinsics
from piavas.errors import CaptureError

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
}
NUMBERS = {
    0: "SIMPLE_PINHOLE",
    1: "PINHOLE",
    2: "SIMPLE_RADIAL",
    3: "RADIAL",
    4: "OPENCV",
    6: "FULL_OPENCV",
}
"""Names of the numbers that stand for camera models in binary files."""
MODELS = (".", "sparse/0", "sparse")
IMAGES = "images"
POINT = 24
"""Bytes of a feature in `images.bin`."""


@dataclass(frozen=True)
class _Image:
    number: int
    name: str
    camera: int
    quaternion: tuple[float, ...]
    shift: tuple[float, ...]


class ColmapReader:
    """Folders with a sparse model of COLMAP."""

    name = "colmap"
    sign = "sparse/0/images.bin or images.txt"

    def matches(self, folder: Path) -> bool:
        """Whether `cameras.*` and `images.*` lie in `folder`, `sparse/0/` or `sparse/`."""
        return bool(_models(folder))

    def read(self, folder: Path) -> Capture:
        """Read and check `folder`; frames are in the order of their names.

        Raises:
            CaptureError: anything missing or inconsistent, or several models.
        """
        model = _model(folder)
        suffix = _suffix(model)
        file = model / f"images{suffix}"
        cameras = (_binary_cameras if suffix == ".bin" else _text_cameras)(
            model / f"cameras{suffix}"
        )
        images = (_binary_images if suffix == ".bin" else _text_images)(file)
        if not images:
            raise CaptureError("holds no images", file=file, mend="register some images first")
        images = sorted(images, key=lambda image: image.name)
        pictures = _picture_folder(folder, model, images[0].name)
        points = model / f"points3D{suffix}"
        sparse = read_points(points) if points.is_file() else None
        frames = tuple(_frame(image, cameras, pictures, file, sparse) for image in images)
        return align_to_gravity(Capture(folder, self.name, frames, np.eye(4), metric=False))


def _suffix(model: Path) -> str | None:
    """Of the files of a model; binary ones go first."""
    for suffix in (".bin", ".txt"):
        if all((model / f"{part}{suffix}").is_file() for part in ("cameras", "images")):
            return suffix
    return None


def _models(folder: Path) -> list[Path]:
    return [folder / at for at in MODELS if _suffix(folder / at)]


def _model(folder: Path) -> Path:
    others = [path for path in sorted(folder.glob("sparse/*/")) if _suffix(path)]
    if len(others) > 1:
        raise CaptureError(
            f"holds {len(others)} models, which share neither scale nor axes",
            file=folder / "sparse",
            mend="give the folder of one, e.g. " + str(others[0]),
        )
    return _models(folder)[0]


def _picture_folder(folder: Path, model: Path, name: str) -> Path:
    """The `images/` that holds `name`; else the first there is, so that errors name it."""
    places = [path / IMAGES for path in (folder, model, model.parent, model.parent.parent)]
    found = [path for path in places if path.is_dir()]
    if not found:
        raise CaptureError(
            "no such folder", file=places[0], mend="put the images of the model there"
        )
    return next((path for path in found if (path / name).is_file()), found[0])


def _frame(
    image: _Image,
    cameras: Mapping[int, Intrinsics],
    pictures: Path,
    file: Path,
    sparse: Sparse | None,
) -> Frame:
    where = f"image {image.name!r}"
    if image.camera not in cameras:
        raise CaptureError(
            f"names camera {image.camera}, which is in no cameras file",
            file=file,
            field=f"{where} CAMERA_ID",
            mend="export the whole model",
        )
    path = pictures / image.name
    if not path.is_file():
        raise CaptureError(
            f"no such file, named by {file}", file=path, mend="restore it or its entry"
        )
    camera = cameras[image.camera]
    check_header(path, camera, "colour")
    pose = _pose(image, file, where)
    if sparse is None:
        return Frame(path, camera, pose)
    shown = sparse.seen.get(image.number, np.empty(0, np.int64))
    return Frame(path, camera, pose, points=_onto(sparse.places[shown], pose, camera))


def _onto(places: NDArray[np.float64], pose: NDArray[np.float64], camera: Intrinsics) -> Any:
    """Column, row and z-depth `[n, 3]` of world `places` before the pinhole of `camera`."""
    local = (places - pose[:3, 3]) @ pose[:3, :3] @ OPENCV_TO_OPENGL
    local = local[local[:, 2] > 0]
    at = local[:, :2] / local[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    inside = ((at > -0.5) & (at < np.array([camera.width, camera.height]) - 0.5)).all(axis=1)
    return np.column_stack([at, local[:, 2]])[inside]


def _pose(image: _Image, file: Path, where: str) -> NDArray[np.float64]:
    quaternion, shift = np.array(image.quaternion), np.array(image.shift)
    length = np.linalg.norm(quaternion)
    if not np.isfinite([*quaternion, *shift]).all() or abs(length - 1) > 1e-3:
        raise CaptureError(
            "is no rotation and translation",
            file=file,
            field=f"{where} QW QX QY QZ TX TY TZ",
            mend="give a unit quaternion, w first, and finite numbers",
        )
    turn = Rotation.from_quat(np.roll(quaternion, -1)).inv().as_matrix()
    pose = np.eye(4)
    pose[:3, :3] = turn @ OPENCV_TO_OPENGL
    pose[:3, 3] = -turn @ shift
    return pose


def _camera(
    model: str | int, width: int, height: int, values: tuple[float, ...], file: Path, where: str
) -> Intrinsics:
    keys = PARAMETERS[_name(model, file, where)]
    if len(values) != len(keys) or not np.isfinite(values).all():
        raise CaptureError(
            f"{model} takes {len(keys)} finite parameters",
            file=file,
            field=f"{where} PARAMS",
            mend=f"give {', '.join(keys)}",
        )
    given = dict(zip(keys, values, strict=True))
    fx, fy = (given.get(key, given.get("f", 0.0)) for key in ("fx", "fy"))
    if min(fx, fy, width, height) <= 0:
        raise CaptureError(
            "size and focal lengths are not positive",
            file=file,
            field=where,
            mend="give values > 0",
        )
    if any(given.get(key) for key in ("k4", "k5", "k6")):
        raise CaptureError(
            "k4, k5 and k6 are not supported",
            file=file,
            field=f"{where} PARAMS",
            mend="undistort the images with `colmap image_undistorter`",
        )
    k1, k2, p1, p2, k3 = (given.get(key, 0.0) for key in ("k1", "k2", "p1", "p2", "k3"))
    return Intrinsics(
        width, height, fx, fy, given["cx"] - 0.5, given["cy"] - 0.5, (k1, k2, p1, p2, k3)
    )


def _name(model: str | int, file: Path, where: str) -> str:
    name = NUMBERS.get(model) if isinstance(model, int) else model
    if name not in PARAMETERS:
        raise CaptureError(
            f"camera model {model!r} is not supported",
            file=file,
            field=f"{where} MODEL",
            mend=f"undistort the images with `colmap image_undistorter`; read are "
            f"{', '.join(PARAMETERS)}",
        )
    return str(name)


# --- binary


def _binary_cameras(file: Path) -> dict[int, Intrinsics]:
    data, cameras = Bytes(file), {}
    (count,) = data.take("Q", "number of cameras")
    for at in range(int(count)):
        where = f"cameras[{at}]"
        key, model, width, height = (int(v) for v in data.take("iiQQ", where))
        size = len(PARAMETERS[_name(model, file, where)])
        values = data.take(f"{size}d", f"{where} PARAMS")
        cameras[key] = _camera(model, width, height, values, file, where)
    data.end()
    return cameras


def _binary_images(file: Path) -> list[_Image]:
    data, images = Bytes(file), []
    (count,) = data.take("Q", "number of images")
    for at in range(int(count)):
        where = f"images[{at}]"
        number, *values, camera = data.take("i7di", where)
        name = data.text(f"{where} NAME")
        (points,) = data.take("Q", f"{where} number of points")
        data.skip(POINT * int(points), f"{where} POINTS2D")
        pose = tuple(values[:4]), tuple(values[4:])
        images.append(_Image(int(number), name, int(camera), *pose))
    data.end()
    return images


# --- text


def _text_cameras(file: Path) -> dict[int, Intrinsics]:
    cameras = {}
    for number, line in lines(file):
        if not line:
            continue
        where = f"line {number}"
        try:
            key, model, width, height, *values = line.split()
            numbers = int(key), int(width), int(height), tuple(map(float, values))
        except ValueError:
            raise broken(file, where, "CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]") from None
        cameras[numbers[0]] = _camera(model, *numbers[1:], file, where)
    return cameras


def _text_images(file: Path) -> list[_Image]:
    images, rest = [], iter(lines(file))
    for number, line in rest:
        if not line:
            continue
        where = f"line {number}"
        try:
            key, *values, camera, name = line.split(maxsplit=9)
            pose = tuple(map(float, values))
            images.append(_Image(int(key), name, int(camera), pose[:4], pose[4:7]))
        except ValueError:
            raise broken(file, where, "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME") from None
        # The second line of an image holds its features, three words each, and may be blank.
        points = next(rest, (0, None))[1]
        if points is None or len(points.split()) % 3:
            raise broken(file, f"line {number + 1}", "POINTS2D[] as (X, Y, POINT3D_ID)")
    return images
