"""A real headless Chromium for tests, or a skip that says which part is missing."""

from __future__ import annotations

import shutil

import pytest

OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
)


def open_chromium(width: int = 900, height: int = 560, *extra: str):
    """A driver of Debian's Chromium; close it with `quit`."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("chromium or chromedriver is not installed")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for option in (*OPTIONS, f"--window-size={width},{height}", *extra):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = selenium.ChromeService(executable_path=driver)
    opened = selenium.Chrome(options=options, service=service)
    opened.set_script_timeout(60)
    return opened


def run(driver, script: str, *arguments):
    """What the async JavaScript `script` returns; its errors are raised here."""
    wrapped = (
        "const done = arguments[arguments.length - 1];"
        f"(async (...given) => {{ {script} }})(...arguments)"
        ".then((value) => done({ value }), (error) => done({ error: String(error.stack) }));"
    )
    answer = driver.execute_async_script(wrapped, *arguments)
    assert "error" not in answer, answer["error"]
    return answer["value"]
