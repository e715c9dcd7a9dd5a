"""How right each engine is in a box where much is known in closed form.

python benchmarks/peer_quality.py [--engines native pyroomacoustics steam-audio] [--rays 8192]

One JSON object a line. Box of 6 x 4 x 3 m, absorption .2, without air, six listeners:
`arrival_samples`, `level_db`: largest errors of the direct sound between dead walls, against r/c
and 1/r. For scattering .1 and 1: `t30_s`, mean over the octaves 250 Hz to 4 kHz; `late_db`, energy
after 60 ms against a diffuse field that decays with the engine's own T30 from 4 pi c / V;
`again_db`, what two seeds differ by in the mean energy of 10 ms windows, 0.06 to 0.3 s, rms;
`coherence`, interaural, of 0.1 to 0.5 s in octaves, beside `coherence_diffuse` of the same head in
a diffuse field. The seconds are CPU of one mono call.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.signal import butter, sosfiltfilt

from piavas.acoustics.hrtf import load_hrtf
from piavas.acoustics.simulator import Simulator
from piavas.errors import MissingDependencyError
from piavas.evaluate import room_metrics
from piavas.scene import Scene

C, RATE = 343.0, 48_000
SIZE, SOURCE = np.array([6.0, 4.0, 3.0]), np.array([1.0, 1.0, 1.5])
HEADS = np.array(
    [(4, 2.5, 1.2), (3, 1, 2), (5, 3.2, 1), (2, 3, 1.5), (5.2, 0.8, 1.6), (3.5, 2.2, 2.3)], float
)
T30_BANDS = (250.0, 500.0, 1000.0, 2000.0, 4000.0)
COHERENCE_BANDS = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)


def direct_errors(simulator: Simulator) -> dict[str, float]:
    """Largest errors of arrival (samples) and level (dB) between walls that swallow all."""
    found = simulator(Scene.shoebox(SIZE, absorption=1.0), SOURCE, HEADS).samples[:, 0]
    far = np.linalg.norm(HEADS - SOURCE, axis=1)
    late = np.abs(found).argmax(axis=1) - far / C * RATE
    level = 10 * np.log10((found.astype(float) ** 2).sum(axis=1) * far**2)
    return {
        "arrival_samples": round(float(np.abs(late).max()), 2),
        "level_db": round(float(np.abs(level).max()), 3),
    }


def late_db(samples: np.ndarray, t30: float) -> float:
    """Energy after 60 ms against the diffuse field of decay `t30`."""
    t = np.arange(samples.shape[1]) / RATE
    part = t > 0.06
    expected = 4 * np.pi * C / SIZE.prod() * np.exp(-13.8155 * t[part] / t30).sum() / RATE
    return float(10 * np.log10((samples[:, part] ** 2).sum(axis=1).mean() / expected))


def windows(samples: np.ndarray) -> np.ndarray:
    """Mean energy over listeners of 10 ms windows from .06 to .3 s, dB."""
    part = samples[:, int(0.06 * RATE) : int(0.3 * RATE)].reshape(len(samples), -1, RATE // 100)
    return np.asarray(10 * np.log10((part**2).sum(axis=2).mean(axis=0)))


def coherence(ears: np.ndarray) -> list[float]:
    """Interaural coherence `[band]` of `[l, 2, time]`, .1 to .5 s."""
    out = []
    for band in COHERENCE_BANDS:
        filters = butter(4, [band / 2**0.5, band * 2**0.5], "band", fs=RATE, output="sos")
        part = sosfiltfilt(filters, ears)[..., int(0.1 * RATE) : int(0.5 * RATE)]
        left, right = part[:, 0], part[:, 1]
        level = np.sqrt((left**2).sum() * (right**2).sum())
        out.append(round(float((left * right).sum() / level), 3))
    return out


def diffuse_coherence() -> list[float]:
    """The same of the head in a diffuse field."""
    grid, left, right, gamma = load_hrtf().diffuse_spectrum(4096)
    out = []
    for band in COHERENCE_BANDS:
        part = (grid >= band / 2**0.5) & (grid < band * 2**0.5)
        cross = (np.real(gamma) * np.sqrt(left * right))[part].sum()
        out.append(round(float(cross / np.sqrt(left[part].sum() * right[part].sum())), 3))
    return out


def figures(engine: str, rays: int) -> list[dict[str, Any]]:
    """All lines of one engine."""
    simulator = Simulator(
        engine, rays=rays, output="mono", duration=0.9, speed_of_sound=C, air_absorption=False
    )
    lines: list[dict[str, Any]] = [{"engine": engine, **direct_errors(simulator)}]
    for scattering in (0.1, 1.0):
        scene = Scene.shoebox(SIZE, absorption=0.2, scattering=scattering)
        found = simulator(scene, SOURCE, HEADS)
        mono = found.samples[:, 0].astype(float)
        other = replace(simulator, seed=1)(scene, SOURCE, HEADS).samples[:, 0].astype(float)
        ears = replace(simulator, output="binaural")(scene, SOURCE, HEADS).samples.astype(float)
        t30 = float(np.nanmean(room_metrics(mono, RATE, bands=T30_BANDS, broadband=False)["T30"]))
        lines.append(
            {
                "engine": engine,
                "version": found.report["version"],
                "scattering": scattering,
                "t30_s": round(t30, 3),
                "late_db": round(late_db(mono, t30), 2),
                "again_db": round(float(np.std(windows(mono) - windows(other))), 2),
                "coherence": coherence(ears),
                "cpu_s": round(found.report["cpu_seconds"], 2),
            }
        )
    return lines


def steam_audio_pitfalls(rays: int) -> dict[str, Any]:
    """What its usual settings cost: energy of the reflections, dB, and T30, s, against ours."""
    from piavas.acoustics.backends import steam_roads
    from piavas.acoustics.backends.steam_level import octave_gains
    from piavas.acoustics.backends.steam_library import steam_audio
    from piavas.acoustics.backends.steam_scene import AIR, SPEED, convert

    phonon = steam_audio()
    mesh = convert(Scene.shoebox(SIZE, absorption=0.2, scattering=0.05), inward=1, scale=1.0)
    low = np.array([3.0, 2.0, 0.4])

    def response(bounces: int, nearest: float) -> np.ndarray:
        steam_roads.NEAREST = nearest
        how = steam_roads.Trace(rays, bounces, 0.9, 0, AIR, SPEED, 1)
        return steam_roads.road_b(phonon, mesh, low, HEADS, how)[:, 0].astype(float)

    def t30(samples: np.ndarray) -> float:
        found = room_metrics(samples, RATE, bands=T30_BANDS, broadband=False)["T30"]
        return round(float(np.nanmean(found)), 3)

    ours, near = response(1024, steam_roads.NEAREST), response(1024, 1.0)
    return {
        "engine": "steam-audio",
        "source_m_above_floor": 0.4,
        "db_lost_by_irradiance_1_m": round(10 * np.log10((ours**2).sum() / (near**2).sum()), 2),
        "t30_s_by_bounces": {b: t30(response(b, 0.05)) for b in (16, 32, 64, 1024)},
        "level_db_of_octaves_before": (-20 * np.log10(octave_gains(phonon))).round(2).tolist(),
    }


def main() -> None:
    """Print the lines of every engine that is on this machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    engines = ["native", "pyroomacoustics", "steam-audio"]
    parser.add_argument("--engines", nargs="+", default=engines, choices=engines)
    parser.add_argument("--rays", type=int, default=8192)
    options = parser.parse_args()
    told = {"bands_hz": COHERENCE_BANDS, "coherence_diffuse": diffuse_coherence()}
    print(json.dumps(told), flush=True)
    for engine in options.engines:
        try:
            for one in figures(engine, options.rays):
                print(json.dumps(one), flush=True)
            if engine == "steam-audio":
                print(json.dumps(steam_audio_pitfalls(options.rays)), flush=True)
        except MissingDependencyError as problem:
            print(json.dumps({"engine": engine, "absent": problem.what}), flush=True)


if __name__ == "__main__":
    main()
