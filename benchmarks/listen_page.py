"""What the listening page's ears get, against binaural simulation, on its grid and between.

A generated apartment is exported, Chromium computes both ears' impulse responses at random places
and looks, and the same are simulated binaurally with the same head and rays (another noise: late
levels differ by chance, too). Printed: level, interaural level difference (ILD), clarity C50 over
all, and level, ILD and interaural time difference (ITD) of the first 2.5 ms from the direct sound
on where the source is seen; and what the page costs the browser.

    python benchmarks/listen_page.py [--places 12] [--orders 1 2]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser.chromium import open_chromium, run  # noqa: E402

RATE = 48_000
DIRECT = 120  # samples, 2.5 ms
LEAD = 48  # samples before the head's centre is reached, over which the nearer ear hears
FIGURES = ("level dB", "ILD dB", "C50 dB", "direct level dB", "direct ILD dB", "direct ITD us")
Array = NDArray[np.float64]


def decibel(samples: Array) -> Array:
    """Energy of the last axis in decibels."""
    return 10 * np.log10((samples**2).sum(axis=-1) + 1e-20)


def itd(ears: Array) -> float:
    """Microseconds by which the left ear hears later, below 1.5 kHz, by cross-correlation."""
    size = 1 << 13
    spectra = np.fft.rfft(ears, size)
    spectra[:, int(1500 / RATE * size) :] = 0
    cross = np.fft.irfft(spectra[0] * spectra[1].conj(), 8 * size)
    lags = np.arange(-320, 321)
    return float(lags[np.argmax(cross[lags])] / 8 / RATE * 1e6)


def compare(page: Array, truth: Array, straight: float, seen: bool) -> dict[str, float]:
    """Differences, page less truth, of two responses `[2, time]`."""
    size = min(page.shape[1], truth.shape[1])
    page, truth = page[:, :size], truth[:, :size]
    start = max(int(straight) - LEAD, 0)
    cut = start + LEAD + int(0.05 * RATE)
    one, two = decibel(page), decibel(truth)
    c50 = [np.mean(decibel(x[:, :cut])) - np.mean(decibel(x[:, cut:])) for x in (page, truth)]
    found = {
        "level dB": float(np.mean(one - two)),
        "ILD dB": float(one[0] - one[1] - two[0] + two[1]),
        "C50 dB": float(c50[0] - c50[1]),
    }
    if seen:
        window = slice(start, start + LEAD + DIRECT)
        a, b = page[:, window], truth[:, window]
        one, two = decibel(a), decibel(b)
        found["direct level dB"] = float(np.mean(one - two))
        found["direct ILD dB"] = float(one[0] - one[1] - two[0] + two[1])
        found["direct ITD us"] = itd(a) - itd(b)
    return found


def measure(order: int, places: int, seed: int = 3) -> None:
    """Export, open, compare, print."""
    from piavas.acoustics import Simulator
    from piavas.listen.page import Page, export_web
    from piavas.listen.page_floor import choose_points, map_floor
    from piavas.listen.page_serve import make_server
    from piavas.rays import RayCaster
    from piavas.scene import Pose
    from piavas.twin.world import make_world

    world = make_world(seed, 2)
    scene, source = world.scene(), world.free_points(1, 5, 1.4)[0]
    page, floor = Page(rays=8000, order=order), map_floor(scene)
    generator = np.random.default_rng(0)
    grid = floor.place(choose_points(floor, page.spacing))
    cells = floor.place(np.argwhere(floor.walkable))
    between = cells[generator.choice(len(cells), places)] + [0.031, 0.017, 0]
    sets = {"on the grid": grid[generator.choice(len(grid), places)], "between": between}
    caster, simulator = RayCaster(scene.vertices, scene.faces), Simulator(rays=8000)
    with tempfile.TemporaryDirectory() as folder:
        export_web(scene, folder, sources=[source], page=page)
        server = make_server(Path(folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver = open_chromium(320, 240)
        try:
            driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
            run(driver, "await piavas.opened;")
            for name, heads in sets.items():
                yaws = generator.uniform(0, 360, len(heads))
                poses = [Pose.at(p, yaw=y) for p, y in zip(heads, yaws, strict=True)]
                truth = simulator(scene, source, poses).samples.astype(float)
                rows = [
                    compare(
                        response(driver, p, y),
                        wanted,
                        float(np.linalg.norm(p - source)) / simulator.speed * RATE,
                        bool(caster.visible(p[None], source[None])[0]),
                    )
                    for p, y, wanted in zip(heads, yaws, truth, strict=True)
                ]
                show(f"order {order}, {name}", rows)
            cost(driver)
        finally:
            driver.quit()
            server.shutdown()


def response(driver: Any, place: Array, yaw: float) -> Array:
    """Both ears' response `[2, time]` by the page, the emission at sample 0."""
    asked = {"x": place[0], "y": place[1], "yaw": float(np.radians(yaw)), "response": True}
    found = run(driver, "return piavas.measure(given[0]);", asked)
    return np.array([found["left"], found["right"]])[:, found["lead"] :]


def show(name: str, rows: list[dict[str, float]]) -> None:
    """Bias, spread and worst of each figure."""
    print(f"\n{name}, {len(rows)} places: mean, root mean square, median and largest size")
    for key in (
        "level dB",
        "ILD dB",
        "C50 dB",
        "direct level dB",
        "direct ILD dB",
        "direct ITD us",
    ):
        values = np.array([row[key] for row in rows if key in row])
        if len(values):
            size = np.abs(values)
            figures = values.mean(), np.sqrt((size**2).mean()), np.median(size), size.max()
            print(f"  {key:16}" + "".join(f" {v:8.2f}" for v in figures) + f"  of {len(values)}")


def cost(driver: Any) -> None:
    """What one new pose and one second of sound cost."""
    script = """
        const [x, y] = piavas.walker.place;
        await piavas.measure({ x, y });
        const start = performance.now();
        for (let k = 0; k < 10; k++) {
            const pose = piavas.pose({ place: [x, y, piavas.floor.ears], yaw: k, pitch: 0 });
            await piavas.ask(pose);
        }
        const middle = performance.now();
        await piavas.measure({ x, y, seconds: 10 });
        return [(middle - start) / 10, (performance.now() - middle) / 10];"""
    pose, second = run(driver, script)
    print(f"\n{pose:.0f} ms for the filters of a new pose, {second:.0f} ms for a second of sound")


def main() -> None:
    """Measure each order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=12)
    parser.add_argument("--orders", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    for order in options.orders:
        measure(order, options.places)


if __name__ == "__main__":
    main()
