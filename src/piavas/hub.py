"""Models of `transformers`, from a folder or the hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from piavas.errors import CheckpointError, MissingDependencyError


def need_transformers(what: str, field: str, otherwise: str) -> Any:
    """The package `transformers`.

    Args:
        what: needs it.
        field: that asked for it.
        otherwise: what to do without.

    Raises:
        MissingDependencyError: the extra `vision` is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise MissingDependencyError(
            f"{what} transformers",
            field=field,
            mend=f"pip install 'piavas[vision]', or {otherwise}",
        ) from None
    return transformers


def load_pretrained(
    model: Any, processor: Any, source: str | os.PathLike[str], revision: str | None = None
) -> tuple[Any, Any]:
    """A model, ready to be asked, and its processor; downloads are checked against their hashes.

    Args:
        model: its class, e.g. `transformers.AutoModel`.
        processor: likewise.
        source: a folder, or a name on the hub.
        revision: of a model of the hub; None for its newest.

    Raises:
        CheckpointError: no such model, no network, or another kind of model.
    """
    try:
        found = model.from_pretrained(source, revision=revision, use_safetensors=True).eval()
        return found, processor.from_pretrained(source, revision=revision)
    except (OSError, ValueError, KeyError, ImportError) as problem:
        raise CheckpointError(
            f"cannot be loaded: {str(problem).splitlines()[0]}",
            file=source if Path(source).exists() else None,
            field=str(source),
            mend="check the name, the network, or give a folder",
        ) from None
