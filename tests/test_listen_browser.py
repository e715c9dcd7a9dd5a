"""The whole listening page: on disk, and in a real browser."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from browser.chromium import open_chromium, run
from browser.pages import OTHER, QUICK, SOURCE, plastered_rooms
from piavas.acoustics import Simulator
from piavas.audio import write_audio
from piavas.capture import Recording, load_capture
from piavas.listen.page import export_web
from piavas.listen.page_points import RATE
from piavas.listen.page_serve import make_server
from piavas.scene import Pose, Scene
from rooms import photograph, two_rooms, walk


@pytest.fixture(scope="module")
def scene() -> Scene:
    return plastered_rooms()


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Pictures of both rooms, and a recording of a head that goes from the source's room out."""
    folder = tmp_path_factory.mktemp("capture")
    photograph(folder, two_rooms(), walk(6))
    generator = np.random.default_rng(3)
    dry = 0.1 * generator.normal(size=(1, 3 * RATE)).astype(np.float32)
    wet = 0.05 * generator.normal(size=(2, 3 * RATE)).astype(np.float32)
    write_audio(folder / "dry.wav", dry.clip(-1, 1), RATE)
    write_audio(folder / "wet.wav", wet.clip(-1, 1), RATE)
    poses = np.stack([Pose.at((x, 3.1, 1.6), yaw=0).matrix for x in (2.0, 4.1, 6.0)])
    recording = Recording(
        "walk", np.array(SOURCE), folder / "dry.wav", folder / "wet.wav", np.arange(3.0), poses
    )
    return replace(load_capture(folder), recordings=(recording,))


@pytest.fixture(scope="module")
def page(scene, capture, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    export_web(scene, folder, sources=[SOURCE, OTHER], capture=capture, page=QUICK)
    return folder


def test_a_second_run_keeps_what_is_there_and_mends_what_is_not(page, scene, capture):
    files = sorted((page / "data/source-0").glob("*.bin"))
    before = {f.name: f.stat().st_mtime_ns for f in files}
    lost = files[2].read_bytes()
    files[2].unlink()
    export_web(scene, page, sources=[SOURCE, OTHER], capture=capture, page=QUICK)
    after = {f.name: f.stat().st_mtime_ns for f in files}
    assert [n for n in before if before[n] != after[n]] == [files[2].name]
    assert files[2].read_bytes() == lost


def test_the_page_holds_all_it_needs(page):
    index = json.loads((page / "data/scene.json").read_text(encoding="utf-8"))
    assert index["materials"][0]["name"] == "Putz für Wände"
    assert len(index["points"]) == len(list((page / "data/source-1").glob("*.bin")))
    assert (page / "vendor/LICENSE-three.txt").is_file()
    for file in [*page.glob("*.js"), *page.glob("*.html"), *page.glob("*.css")]:
        text = file.read_text(encoding="utf-8")
        assert "https://" not in text and "http://" not in text.replace("http://www.w3.org", "")
    for entry in index["sounds"]:
        assert (page / "data" / entry["file"]).is_file()
    assert {"dry", "recorded"} <= set(index["tracks"][0])


# In a browser. One page serves all these tests; each leaves it as it found it, or nearly.


@pytest.fixture(scope="module")
def browser(page):
    driver = open_chromium()
    server = make_server(page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
        run(driver, "await piavas.opened;")
        yield driver
        severe = [e for e in driver.get_log("browser") if e["level"] == "SEVERE"]
        assert not severe
    finally:
        driver.quit()
        server.shutdown()
        server.server_close()


def levels(driver, x, y, yaw=0.0, **options):
    """Levels of both ears in decibels at a place, through the page's own graph."""
    asked = {"x": x, "y": y, "yaw": float(np.radians(yaw)), "seconds": 0.6, **options}
    return np.array(run(driver, "return piavas.measure(given[0]);", asked))


def pixels(driver):
    """The canvas `[height, width, 4]`, drawn now."""
    script = """
        piavas.view.draw(piavas.walker, 10);
        const gl = piavas.view.renderer.getContext();
        const [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
        const data = new Uint8Array(4 * w * h);
        gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, data);
        let text = '';
        for (let i = 0; i < data.length; i += 8192) {
            text += String.fromCharCode(...data.subarray(i, i + 8192));
        }
        return [w, h, btoa(text)];"""
    import base64

    width, height, text = run(driver, script)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)


def test_the_page_opens_without_a_word_in_the_console(browser):
    browser.refresh()
    run(browser, "await piavas.opened;")
    words = [e for e in browser.get_log("browser") if "GPU stall" not in e["message"]]
    assert not words  # but for what the driver of a software renderer says of its speed


def test_the_canvas_shows_a_room_from_above_and_from_inside(browser):
    assert browser.title == "Zwei Räume"
    above = pixels(browser)
    assert 0.1 < (above[..., 3] > 0).mean() < 0.9 and above[..., :3].std() > 10
    run(browser, "piavas.turnView(true);")
    inside = pixels(browser)
    assert (inside[..., 3] > 0).mean() > 0.95 and inside[..., :3].std() > 5
    run(browser, "piavas.turnView(false);")
    grey = pixels(browser)
    run(browser, "document.querySelector('#looks input[value=materials]').click();")
    assert np.abs(pixels(browser).astype(int) - grey).mean() > 1
    run(browser, "document.querySelector('#looks input[value=photo]').click();")


def test_a_wall_lowers_the_level(browser):
    near, behind = levels(browser, 2.8, 1.0), levels(browser, 5.0, 1.0)
    assert near.mean() - behind.mean() > 6


def test_turning_the_head_swaps_the_louder_ear(browser):
    ahead, back = levels(browser, 1.0, 2.0, yaw=0), levels(browser, 1.0, 2.0, yaw=180)
    # The source is at the left of a head that looks along +x.
    assert ahead[0] - ahead[1] > 3 and back[1] - back[0] > 3
    assert ahead.mean() == pytest.approx(back.mean(), abs=1.5)


def test_the_other_loudspeaker_is_heard_from_its_own_place(browser):
    first, other = levels(browser, 5.4, 2.0), levels(browser, 5.4, 2.0, source=1)
    assert other.mean() - first.mean() > 6


def test_dry_is_the_same_everywhere(browser):
    here, there = levels(browser, 1.0, 1.0, mode="dry"), levels(browser, 6.0, 3.0, mode="dry")
    assert np.allclose(here, there, atol=0.01) and here[0] == pytest.approx(here[1], abs=0.01)


def test_the_limiter_holds_what_is_far_too_loud(browser):
    loud = (8 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).tolist()
    heard = levels(browser, 1.0, 2.4, samples=loud)
    assert heard.max() < -6  # root mean square under -12 dB in the long run, peaks under -3 dB


def test_the_pages_ears_are_those_of_the_simulator(browser, scene):
    """The direct sound, with its level, time and interaural figures, against binaural responses."""
    index = run(browser, "return piavas.index.points;")
    simulator = Simulator(rays=1500, duration=0.35, hrtf="rigid-sphere")
    places = [np.array(p) for p in index if 1 < np.linalg.norm(np.array(p) - SOURCE) < 3][:2]
    poses = [(p, yaw) for p in places if p[0] < 4 for yaw in (0, 70, 200)]
    truth = simulator(scene, SOURCE, [Pose.at(p, yaw=yaw) for p, yaw in poses]).samples
    assert len(poses) >= 3
    for (place, yaw), wanted in zip(poses, truth, strict=True):
        asked = {"x": place[0], "y": place[1], "yaw": float(np.radians(yaw)), "response": True}
        got = run(browser, "return piavas.measure(given[0]);", asked)
        heard = np.array([got["left"], got["right"]])[:, got["lead"] :]
        # The page's delay line holds fractions of a sample; this response is whole samples off.
        lag = got["exact"] - np.floor(got["exact"] + 0.5)
        f = np.fft.rfftfreq(heard.shape[1])
        heard = np.fft.irfft(np.fft.rfft(heard) * np.exp(-2j * np.pi * f * lag), heard.shape[1])
        start = int(np.linalg.norm(place - SOURCE) / simulator.speed * RATE) - 30
        # Up to the floor's reflection, 1 ms or more behind.
        window = slice(start, start + 80)
        one, two = heard[:, window], wanted[:, window]
        error = ((one - two) ** 2).sum() / (two**2).sum()
        assert 10 * np.log10(error) < -14, (place, yaw)
        level = 10 * np.log10((one**2).sum(axis=1) / (two**2).sum(axis=1))
        assert np.abs(level).max() < 0.8
        whole = 10 * np.log10((heard**2).sum() / (wanted**2).sum())
        assert abs(whole) < 1.5


def wait(driver, condition, seconds=40):
    """Until the JavaScript `condition` holds."""
    script = f"""
        const end = performance.now() + {1000 * seconds};
        while (performance.now() < end) {{
            if ({condition}) return true;
            await new Promise((next) => setTimeout(next, 50));
        }}
        return false;"""
    assert run(driver, script), condition


def test_sound_plays_and_other_sounds_and_modes_can_be_chosen(browser):
    browser.find_element("id", "play").click()
    wait(browser, "piavas.sound.playing && Math.max(...piavas.sound.levels.rms) > 1e-4")
    run(browser, "sounds.value = 'sound:2'; await piavas.choose('sound:2');")
    wait(browser, "piavas.sound.length === 10 && Math.max(...piavas.sound.levels.rms) > 1e-3")
    run(browser, "document.querySelector('#modes input[value=dry]').click();")
    wait(browser, "Math.abs(piavas.sound.levels.rms[0] - piavas.sound.levels.rms[1]) < 1e-5")
    run(browser, "document.querySelector('#modes input[value=simulated]').click();")
    run(browser, "piavas.setVolume(-80);")
    wait(browser, "Math.max(...piavas.sound.levels.rms) < 1e-4")
    run(browser, "piavas.setVolume(-6);")
    browser.find_element("id", "play").click()
    wait(browser, "!piavas.sound.playing")


def test_a_file_of_ones_own_plays(browser, tmp_path):
    tone = 0.01 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)
    write_audio(tmp_path / "Glöckchen.wav", np.stack([tone, tone]).astype(np.float32), RATE)
    browser.find_element("id", "upload").send_keys(str(tmp_path / "Glöckchen.wav"))
    wait(browser, "piavas.sound.playing && sounds.value === 'upload:Glöckchen.wav'")
    wait(browser, "Math.max(...piavas.sound.levels.rms) > 1e-3")
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    browser.find_element("id", "upload").send_keys(str(bad))
    wait(browser, "!problem.hidden")
    run(browser, "piavas.sound.stop(); piavas.panel.problem(null);")


def test_a_recording_takes_the_head_along(browser):
    run(browser, "await piavas.choose('track:0');")
    wait(browser, "piavas.walker.place[0] > 2.2 && piavas.walker.path?.bound")
    run(browser, "piavas.setMode('recorded');")
    wait(browser, "Math.max(...piavas.sound.levels.rms) > 1e-4")
    run(browser, "await piavas.choose('sound:0'); piavas.toggle();")
    assert run(browser, "return piavas.sound.mode;") == "simulated"


def test_keys_walk_and_walls_hold(browser):
    from selenium.webdriver import ActionChains

    run(browser, "piavas.walker.go(2.8, 3.0, 0);")
    before = run(browser, "return piavas.walker.place;")
    canvas = browser.find_element("id", "room")
    ActionChains(browser).click(canvas).perform()
    run(browser, "piavas.walker.go(2.8, 3.0, 0);")
    ActionChains(browser).key_down("w").pause(0.7).key_up("w").perform()
    after = run(browser, "return piavas.walker.place;")
    assert after[0] - before[0] > 0.2 and abs(after[1] - before[1]) < 0.05
    far = run(
        browser,
        """piavas.walker.go(3.0, 1.0, 0); piavas.walker.held.add('ahead');
        for (let k = 0; k < 100; k++) piavas.walker.step(0.1);
        piavas.walker.held.clear(); return piavas.walker.place;""",
    )
    assert far[0] < 4.0


def test_the_walk_plays_by_itself(browser):
    run(browser, "piavas.guide(true);")
    before = run(browser, "return piavas.walker.place;")
    wait(browser, f"Math.hypot(piavas.walker.place[0] - {before[0]}, "
         f"piavas.walker.place[1] - {before[1]}) > 0.2")  # fmt: skip
    run(browser, "piavas.guide(false);")
    assert run(browser, "return piavas.walker.path;") is None


def test_the_floor_map_and_the_readings(browser):
    run(browser, "piavas.setMap('2');")
    low, high = run(browser, "return [piavas.map.low, piavas.map.high];")
    assert high - low > 5  # the strength falls by more than that from room to room
    run(browser, "piavas.setMap(''); piavas.tell();")
    words = [cell.text for cell in browser.find_elements("css selector", "#figures dd")]
    assert len(words) == 4 and all(words)
