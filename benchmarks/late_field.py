"""Interaural coherence of the late tail by octave band, beside the diffuse field of the same head.

python benchmarks/late_field.py [--hrtf rigid-sphere]

One JSON object a line. The tail is that of a reverberant hall from .2 s after the emission, its
decay taken out; coherence is the real part, averaged over frames, five heads and each band.
`noise` is what as many frames of two unrelated noises would give.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from piavas.acoustics import Simulator, load_hrtf
from piavas.scene import OCTAVE_BANDS, Pose, Scene

SIZE, RATE, FRAME = (8, 7, 5), 48_000, 2048


def main() -> None:
    """Print a line for each band."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hrtf", help="rigid-sphere or a SOFA path; MIT KEMAR if not given")
    head = load_hrtf(parser.parse_args().hrtf)
    scene = Scene.shoebox(SIZE, absorption=0.1, scattering=0.7)
    poses = [Pose.at((5, 4, 1.6), yaw=yaw) for yaw in range(0, 360, 72)]
    tails = Simulator(hrtf=head, duration=1.6)(scene, (2, 2, 1.5), poses).samples[:, :, 9600:]
    frames = tails[..., : tails.shape[2] // FRAME * FRAME].reshape(len(poses), 2, -1, FRAME)
    frames = frames / np.sqrt((frames**2).mean(axis=(1, 3), keepdims=True))
    spectra = np.fft.rfft(frames * np.hanning(FRAME))
    cross = (spectra[:, 0] * spectra[:, 1].conj()).sum(axis=(0, 1)).real
    power = (np.abs(spectra) ** 2).sum(axis=(0, 2))
    found = cross / np.sqrt(power[0] * power[1])
    f = np.fft.rfftfreq(FRAME, 1 / RATE)
    field = head.diffuse_spectrum(8192)
    theory = np.interp(f, field.frequency, field.coherence.real)
    for band in OCTAVE_BANDS:
        rows = (f >= band / 2**0.5) & (f < band * 2**0.5)
        line = {
            "head": head.name,
            "band_hz": band,
            "tail": round(float(found[rows].mean()), 3),
            "diffuse_field": round(float(theory[rows].mean()), 3),
            "noise": round(float((frames.shape[2] * len(poses) * rows.sum()) ** -0.5), 3),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
