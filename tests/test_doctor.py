"""The doctor: what it says of a machine, and what it says to do."""

from __future__ import annotations

import json
import sys

import pytest

from piavas import doctor
from piavas.cli import main
from piavas.doctor import Finding, extras


def test_json_is_a_list_of_findings(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_rays", lambda: Finding("ray tracing", True, "told"))
    monkeypatch.setattr(doctor, "_steam_audio", lambda: Finding("steam audio", None, "absent", "x"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "_head", lambda: Finding("head (HRTF)", False, "absent", "install"))
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--json"])
    assert ended.value.code == 2
    found = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"python", "memory", "disk", "ray tracing", "torch", "steam audio"} <= set(found)
    assert found["head (HRTF)"] == {
        "what": "head (HRTF)",
        "good": False,
        "told": "absent",
        "mend": "install",
    }
    assert found["torch"]["good"] is True
    assert all(set(row) == {"what", "good", "told", "mend"} for row in found.values())


def test_no_steam_audio_is_no_fault(monkeypatch, tmp_path):
    monkeypatch.delenv("PIAVAS_STEAM_AUDIO", raising=False)
    monkeypatch.setenv("PIAVAS_DATA", str(tmp_path))
    found = doctor._steam_audio()
    assert found.good is None
    assert found.told == "absent"
    assert "piavas install steam-audio" in found.mend


def test_wrong_steam_audio_is_told(monkeypatch, tmp_path):
    library = tmp_path / "libphonon.so"
    library.write_bytes(b"no library")
    monkeypatch.setenv("PIAVAS_STEAM_AUDIO", str(library))
    found = doctor._steam_audio()
    assert found.good is False
    assert "cannot be loaded" in found.told


def test_library_that_kills_its_process_is_survived(monkeypatch):
    monkeypatch.setattr(doctor, "STEAM_CODE", "import os; os.abort()")
    found = doctor._steam_audio()
    assert found.good is False
    assert found.mend


def test_memory_respects_the_limit_of_a_container(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text("1073741824\n")
    monkeypatch.setattr(doctor, "CGROUP_LIMITS", (limit, tmp_path / "absent"))
    assert doctor.memory() == 1.0
    assert doctor._memory().good is False
    limit.write_text("max\n")
    assert doctor.memory() > 1.0


def test_missing_torch_says_how(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = doctor._torch()
    assert found.good is False
    assert "pip install torch" in found.mend


def test_extras_of_metadata():
    found = extras(
        [
            "numpy>=2.0",
            'no-such-package-here>=1; extra == "peers"',
            'numpy; extra == "vision"',
            'pytest>=8; extra == "dev"',
            'piavas[peers]; extra == "all"',
        ]
    )
    assert [f.what for f in found] == ["no-such-package-here", "numpy"]
    assert found[0].told == "absent"
    assert "piavas[peers]" in found[0].mend
    assert found[1].good is None
