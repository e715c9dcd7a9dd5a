"""Make `docs/figures/listen.png`: the listening page of a generated apartment, in a real browser.

Every step is the package's own: an apartment is generated and photographed (80 pictures with
depth), its mesh is reconstructed from the pictures and given materials, responses are simulated
over its floor, and Debian's Chromium opens the page and is photographed while it plays.

    python docs/make_screenshot.py [--work DIR] [--seed N] [--dark]

What an earlier run left in DIR is used again.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser.chromium import open_chromium, run  # noqa: E402

SIZE = (1440, 900)
OUT = ROOT / "docs" / "figures" / "listen.png"


def make_page(work: Path, seed: int) -> Path:
    """The page of the apartment of `seed`, through the whole of stage 1."""
    from piavas.capture import load_capture
    from piavas.geometry import reconstruct
    from piavas.listen.page import Page, export_web
    from piavas.materials import assign_materials, load_scene, save_scene
    from piavas.twin import generate_capture

    world = generate_capture(work / "capture", seed, frames=80, width=480, height=360, rooms=2)
    capture = load_capture(work / "capture")
    if not (work / "scene" / "materials.json").is_file():
        mesh = reconstruct(capture, triangles=30_000)
        save_scene(assign_materials(mesh, capture), work / "scene")
    sources = list(world.free_points(2, 5, 1.4))
    page = Page(title="Two rooms, seen by a camera", rays=8000)
    scene = load_scene(work / "scene")
    export_web(scene, work / "page", sources=sources, capture=capture, page=page)
    return work / "page"


def photograph_page(page: Path, out: Path, *, dark: bool, script: str) -> None:
    """Open `page`, run `script` in it, and save what there is to see."""
    from piavas.listen.page_serve import make_server

    server = make_server(page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    driver = open_chromium(*SIZE, "--hide-scrollbars")
    try:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        shape = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
        driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
        run(driver, "await piavas.opened;")
        run(driver, script)
        time.sleep(3)
        out.parent.mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(out))
    finally:
        driver.quit()
        server.shutdown()


def stand(page: Path) -> str:
    """Stand 3 m from the first source, facing it with a turned head, and play."""
    import json

    index = json.loads((page / "data" / "scene.json").read_text(encoding="utf-8"))
    source = np.array(index["sources"][0]["position"])
    points = np.array(index["points"])
    away = np.linalg.norm(points - source, axis=1)
    x, y, _ = points[np.abs(away - 3.2).argmin()]
    yaw = np.arctan2(source[1] - y, source[0] - x) - 0.5
    return (
        f"piavas.walker.go({x}, {y}, {yaw}); await piavas.choose('sound:0');"
        "await new Promise((next) => setTimeout(next, 6000));"
    )


def main() -> None:
    """Make the page where it is not there yet, and photograph it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "screenshot")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--dark", action="store_true", help="also make listen-dark.png, inside")
    options = parser.parse_args()
    page = make_page(options.work, options.seed)
    script = stand(page)
    photograph_page(page, OUT, dark=False, script=script)
    if options.dark:
        inside = f"piavas.turnView(true); {script}"
        photograph_page(page, OUT.with_name("listen-dark.png"), dark=True, script=inside)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
