"""A benchmark anyone can generate anew: sets in the layouts of RWAVS and RAF, from seeds.

Worlds, sounds and pictures are made up; what was recorded comes of physics that no stage of the
pipeline uses (see `piavas.twin.hidden` and `piavas.twin.low`). The same seeds give the same files.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from piavas import __version__
from piavas.datasets.rwavs import RATE, RELEASE
from piavas.datasets.rwavs_write import NewVideo, write_picture, write_rwavs
from piavas.datasets.similarity import Similarity
from piavas.errors import DataError
from piavas.files import write_json
from piavas.progress import track
from piavas.scene import Pose
from piavas.twin.generate import lens
from piavas.twin.places import ROOMS, Place, make_place
from piavas.twin.record import Options, record_sounds
from piavas.twin.released import WORK, begin, finish
from piavas.twin.shade import Camera

CROWD = 99
"""Videos of an environment, at most."""
UNIT = (0.1, 0.6)
"""Range of structure from motion's unit, 1/m."""
TILT = 1.5  # degrees, standard deviation of its upright
TRUTH = "truth"


@dataclass(frozen=True)
class Videos:
    """A set in the layout of RWAVS.

    Args:
        seed: of everything.
        environments: how many of office, house, apartment and outdoor, in this order.
        videos: of each environment, every one with its own source position.
        seconds: of a video; a picture each.
        width: of a picture, pixels.
        height: likewise.
        rays: traced from each source.
        waves: whether frequencies below 250 Hz come from the wave equation.
        snr_db: mean level of the sound above that of the microphones' noise.
        hrtf: the head, as `piavas.load_hrtf` takes it.

    Raises:
        DataError: a value out of range.
    """

    seed: int = 0
    environments: int = 4
    videos: int = 3
    seconds: int = 120
    width: int = 320
    height: int = 240
    rays: int = 6_000
    waves: bool = True
    snr_db: float = 45.0
    hrtf: str = "rigid-sphere"

    def __post_init__(self) -> None:
        demand("seed", self.seed, 0, 10**6)
        demand("environments", self.environments, 1, len(ROOMS))
        demand("videos", self.videos, 1, CROWD)
        demand("seconds", self.seconds, 6, 3600)
        demand("width", self.width, 16, 8192)
        demand("height", self.height, 16, 8192)
        demand("rays", self.rays, 1, 10**8)
        demand("snr_db", self.snr_db, 0, 120)

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the environments."""
        return tuple(ROOMS)[: self.environments]

    @property
    def sound(self) -> Options:
        """How recordings are made."""
        return Options(
            self.seed,
            float(self.seconds),
            RATE,
            self.snr_db,
            os.fspath(self.hrtf),
            self.rays,
            self.waves,
        )


def demand(field: str, value: float, least: float, most: float) -> None:
    """Pass a value in range."""
    if not least <= value <= most:
        raise DataError(f"{value} is out of range", field=field, mend=f"give {least} to {most}")


def write_videos(root: str | os.PathLike[str], options: Videos | None = None) -> Path:
    """Write a benchmark in the layout of RWAVS, without pickles.

    Pictures and sounds that an interrupted run left are kept; a whole set is only checked.

    Args:
        root: folder of `release/`, `truth/`, `README.txt` and `SHA256SUMS`, written last.
        options: what it holds.

    Raises:
        DataError: `root` holds something else or is harmed.
        HrtfError: the head cannot be had.
    """
    root, options = Path(root), options or Videos()
    if begin(root, "rwavs", asdict(options)):
        return root
    made: list[NewVideo] = []
    units = {}
    for name in options.places:
        place = make_place(name, options.seed)
        units[name] = draw_unit(place.world.seed)
        made += _film(root, place, options, first=len(made) + 1)
        _keep_truth(root, place, units[name], made[-options.videos :])
    write_rwavs(root / RELEASE, made, units=units)
    finish(root, _readme(options))
    return root


def draw_unit(seed: int) -> Similarity:
    """From metres to a unit, a direction and an origin such as structure from motion chooses."""
    rng = np.random.default_rng([seed, 31])
    pitch, yaw = rng.normal(0, TILT), rng.uniform(0, 360)
    turn = Pose.at((0, 0, 0), yaw=yaw, pitch=pitch).matrix[:3, :3]
    upright = Pose.at((0, 0, 0)).matrix[:3, :3]
    return Similarity(float(rng.uniform(*UNIT)), turn @ upright.T, rng.uniform(-2, 2, 3))


def _film(root: Path, place: Place, options: Videos, first: int) -> list[NewVideo]:
    """The videos of one environment, numbered from `first`."""
    work = root / WORK / place.name
    sounds = record_sounds(place.world, work, options.sound, options.videos, place.hidden)
    camera = Camera(place.world, lens(options.width, options.height))
    made = []
    for number, sound in enumerate(sounds, first):
        # Without the first and the last, so that both ways to cut clips have all their sound.
        seconds = range(1, options.seconds)
        frames = root / RELEASE / str(number) / "frames"
        pictures = [frames / f"{second:05d}.png" for second in seconds]
        for second, path in zip(track(seconds, f"film {number}"), pictures, strict=True):
            if not path.exists():
                shot = camera.shoot(sound.poses[second], options.seed + 7919 * number + second)
                write_picture(path, shot.image)
        poses = sound.poses[1 : options.seconds]
        made.append(
            NewVideo(
                number,
                place.name,
                sound.source,
                poses,
                list(seconds),
                pictures,
                camera.lens,
                sound.dry_path,
                sound.wet_path,
            )
        )
    return made


def _keep_truth(root: Path, place: Place, unit: Similarity, videos: list[NewVideo]) -> None:
    """What a set in this layout loses, beside it."""
    folder = root / TRUTH / place.name
    place.world.save(folder)
    shutil.copytree(root / WORK / place.name / TRUTH, folder, dirs_exist_ok=True)
    facts: dict[str, Any] = {
        "unit": unit.to_json(),
        "videos": {str(v.number): f"source-{i}" for i, v in enumerate(videos)},
        "sources": {str(v.number): v.source.tolist() for v in videos},
    }
    write_json(folder / "environment.json", facts)


def _readme(options: Videos) -> str:
    count = options.environments * options.videos
    waves = "the wave equation below 250 Hz, rays above" if options.waves else "rays alone"
    return f"""A SYNTHETIC DATA SET in the layout of RWAVS, made by piavas {__version__}.
Nothing in it was recorded: no place, voice, instrument or picture is of this world.

Made of: seed {options.seed}, {options.environments} environments ({", ".join(options.places)}),
{options.videos} videos each ({count} in all), {options.seconds} s each; all options are in
benchmark.json. The same options and version give the same files: compare SHA256SUMS
(sha256sum -c SHA256SUMS).

release/  the data set: position.json, environments.json and a folder for each video with frames
          at 1 fps, dry and binaural sound (22,050 Hz, 16 bits, each scaled to its peak), and poses
          in an arbitrary unit and in [-1, 1]^3. There are no pickles.
truth/    what the layout loses: mesh, materials, loudspeaker, climate, levels, ways, the unit.
          Nothing that is evaluated may read it.

Places: "office", "house" and "apartment" are furnished dwellings of {ROOMS["office"]},
{ROOMS["house"]} and {ROOMS["apartment"]} rooms; "outdoor" is a walled, furnished court of
{ROOMS["outdoor"]} yards whose ceilings and windows are sky and take up all sound. The names are
those of RWAVS's categories, the places are not like its own.
Sound: speech-like and music-like signals in turn, synthesised, free of anyone's rights.
Recordings: the exact mesh; {waves}; materials, loudspeaker
and climate drawn about the tables' values; the head "{options.hrtf}"; microphones whose noise
lies {options.snr_db:g} dB below the sound.
"""
