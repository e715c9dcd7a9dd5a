"""`piavas export`: responses and rooms in the forms that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from piavas.cli.listen import web
from piavas.cli.tell import Verb, group, tell

if TYPE_CHECKING:
    from piavas.scene import ImpulseResponses

Point = tuple[float, float, float]
Files = tyro.conf.Positional[tuple[Path, ...]]


def sofa(
    responses: Files,
    out: Path,
    scene: Path | None = None,
    title: str = "Simulated room impulse responses",
    author: str = "not given",
    organization: str = "not given",
    license: str = "No license provided, ask the author for permission",
    json: bool = False,
) -> None:
    """Responses of one or several sources as one SOFA file (AES69) with its facts filled in.

    One source gives the convention SingleRoomSRIR, several SingleRoomMIMOSRIR.

    Args:
        responses: SOFA files or folders that `simulate` wrote, one a source, of the same listeners.
        out: SOFA file to write.
        scene: scene folder, for the corners of the room.
        title: what the set is.
        author: contact.
        organization: who made it.
        license: of the responses.
        json: print JSON for scripts.
    """
    from piavas.listen import export_sofa
    from piavas.materials import load_scene

    several = [_read(path) for path in responses]
    facts = {
        "title": title,
        "author": author,
        "organization": organization,
        "license": license,
    }
    export_sofa(several, out, scene=load_scene(scene) if scene else None, **facts)
    tell({"wrote": str(out), "sources": len(several), "listeners": len(several[0])}, json)


def wav(
    responses: tyro.conf.Positional[Path],
    out: Path,
    emitter: int | None = None,
    json: bool = False,
) -> None:
    """Responses as one WAV file a listener, all channels, 32-bit float.

    Args:
        responses: SOFA file, or a folder that `simulate` wrote.
        out: folder to write.
        emitter: which of several sources, from 0.
        json: print JSON for scripts.
    """
    from piavas.listen import export_wavs

    tell({"wrote": str(out), "files": len(export_wavs(_read(responses, emitter), out))}, json)


def ambix(
    responses: tyro.conf.Positional[Path],
    out: Path,
    emitter: int | None = None,
    json: bool = False,
) -> None:
    """Ambisonic responses as one ambiX WAV file a listener: ACN order, SN3D norm.

    Args:
        responses: SOFA file of ambisonic responses, or a folder that `simulate` wrote.
        out: folder to write.
        emitter: which of several sources, from 0.
        json: print JSON for scripts.
    """
    from piavas.listen import export_ambix

    tell({"wrote": str(out), "files": len(export_ambix(_read(responses, emitter), out))}, json)


def gltf(
    scene: tyro.conf.Positional[Path],
    out: Path,
    responses: Path | None = None,
    source: Point | None = None,
    markers: float = 0.12,
    json: bool = False,
) -> None:
    """The room coloured by material, with source and listeners, as binary glTF.

    Args:
        scene: scene folder.
        out: `.glb` file to write.
        responses: SOFA file whose source and listeners are drawn.
        source: x y z in metres, where there are no responses.
        markers: metres that source and listeners measure; 0 for nodes without a shape.
        json: print JSON for scripts.
    """
    from piavas.listen import export_gltf
    from piavas.materials import load_scene

    irs = _read(responses) if responses else None
    room = load_scene(scene)
    export_gltf(
        room,
        out,
        sources=source if irs is None else irs.source,
        listeners=None if irs is None else irs.listeners,
        markers=markers,
    )
    tell({"wrote": str(out), "triangles": len(room.faces), "materials": len(room.materials)}, json)


def table(
    responses: tyro.conf.Positional[Path],
    out: Path,
    bands: tuple[float, ...] | None = None,
    emitter: int | None = None,
    json: bool = False,
) -> None:
    """Room parameters (ISO 3382-1) of every listener and octave band, for spreadsheets.

    Args:
        responses: SOFA file, or a folder that `simulate` wrote.
        out: `.csv` or `.json` file to write.
        bands: nominal octave centres in hertz; all that fit the sample rate if not given.
        emitter: which of several sources, from 0.
        json: print JSON for scripts.
    """
    from piavas.listen import export_table

    irs = _read(responses, emitter)
    export_table(irs, out, bands=bands)
    tell({"wrote": str(out), "listeners": len(irs)}, json)


def _read(path: Path, emitter: int | None = None) -> ImpulseResponses:
    from piavas.acoustics.stream import load_responses
    from piavas.listen import import_sofa

    return load_responses(path) if path.is_dir() else import_sofa(path, emitter)


EXPORTS: dict[str, Verb] = {
    "sofa": sofa,
    "wav": wav,
    "ambix": ambix,
    "gltf": gltf,
    "table": table,
    "web": web,
}
export = group(EXPORTS, "Responses and rooms in the forms that other tools read.")
