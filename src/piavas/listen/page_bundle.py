"""Named arrays in one binary file that a browser views without copying or parsing numbers.

"PIAV", the length of the header as uint32, the header as JSON of `{name: [type, shape, offset]}`
with offsets from the end of the header, and the arrays, little-endian, each at a multiple of 8.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError
from piavas.files import atomic

MAGIC = b"PIAV"
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32")


def write_bundle(path: str | os.PathLike[str], arrays: Mapping[str, NDArray]) -> None:
    """Write `arrays`, whole or not at all; their types must be of `TYPES`."""
    table, pieces, offset = {}, [], 0
    for name, array in arrays.items():
        kind = array.dtype.name
        if kind not in TYPES:
            raise DataError(f"cannot hold {kind}", file=path, field=name, mend=f"give {TYPES}")
        body = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        table[name] = [kind, list(array.shape), offset]
        pieces.append(body + bytes(-len(body) % 8))
        offset += len(pieces[-1])
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)
    with atomic(path) as part:
        size = np.uint32(len(header)).astype("<u4").tobytes()
        part.write_bytes(b"".join([MAGIC, size, header, *pieces]))


def read_bundle(path: str | os.PathLike[str]) -> dict[str, NDArray]:
    """Read what `write_bundle` wrote.

    Raises:
        DataError: missing, of another kind, or cut short.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such file", file=path, mend="check the path")
    data = path.read_bytes()
    try:
        if data[:4] != MAGIC:
            raise ValueError("another kind of file")
        start = 8 + int(np.frombuffer(data, "<u4", 1, 4)[0])
        table = json.loads(data[8:start])
        return {
            name: np.frombuffer(
                data, np.dtype(kind).newbyteorder("<"), int(np.prod(shape)), start + offset
            ).reshape(shape)
            for name, (kind, shape, offset) in table.items()
        }
    except (ValueError, KeyError, TypeError) as problem:
        raise DataError(f"is spoilt: {problem}", file=path, mend="export it anew") from None
