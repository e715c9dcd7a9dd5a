"""Verbs only: each is one function and writes one artefact that the next verb reads."""

from __future__ import annotations

import sys
from collections.abc import Callable

import tyro

from piavas.cli import (
    ablate,
    benchmark,
    data,
    experiments,
    export,
    fit,
    judge,
    learn,
    listen,
    machine,
    room,
    sound,
    surface,
)
from piavas.cli.mend import suggest
from piavas.cli.tell import complain
from piavas.errors import PiavasError

VERBS: dict[str, Callable[..., None]] = {
    "demo": machine.demo,
    "doctor": machine.doctor,
    "install": machine.install,
    "import": data.import_,
    "twin": room.twin,
    "twin-benchmark": benchmark.twin_benchmark,
    "reconstruct": room.reconstruct,
    "materials": surface.materials,
    "simulate": sound.simulate,
    "calibrate": fit.calibrate,
    "render": sound.render,
    "train": learn.train,
    "refine": learn.refine,
    "evaluate": judge.evaluate,
    "ablate": ablate.ablate,
    "experiments": experiments.experiments,
    "export": export.export,
    "listen": listen.listen,
}


def run(argv: list[str] | None = None) -> None:
    """Run the verb that `argv` names."""
    tyro.extras.subcommand_cli_from_dict(VERBS, args=argv, prog="piavas", description=__doc__)


def main(argv: list[str] | None = None) -> int:
    """Run a verb; 0 when it did its work, 2 on bad input, 130 when interrupted."""
    words = sys.argv[1:] if argv is None else argv
    try:
        run(argv)
    except SystemExit as end:
        if end.code == 2:
            for line in suggest(words, VERBS, run):
                print(f"piavas: {line}", file=sys.stderr)
        raise
    except PiavasError as problem:
        complain(problem, as_json="--json" in words)
        return 2
    except OSError as problem:
        if problem.filename is None:
            raise
        print(f"piavas: {problem.filename}: {problem.strerror} (check the path)", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("piavas: stopped; what was finished is kept", file=sys.stderr)
        return 130
    return 0
