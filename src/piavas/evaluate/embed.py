"""Sound, pictures and figures as text that stands inside one HTML file."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from piavas.audio import resample
from piavas.errors import DataError

PEAK_DBFS = -6.0
LIMIT_DBFS = -3.0
MOST_RATE = 22_050


def data_uri(mime: str, content: bytes) -> str:
    """`content` as a data URI."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def play_rate(sample_rate: int) -> int:
    """The rate in hertz that is embedded: 22,050 Hz (RWAVS) at most, to keep the page small."""
    return min(sample_rate, MOST_RATE)


def audio_uri(signal: NDArray[np.floating], sample_rate: int, gain: float) -> str:
    """`[channel, time]` times `gain` as 16-bit FLAC, never above -3 dBFS.

    Raises:
        ValueError: the gain would take it above -3 dBFS (a fault of the caller).
    """
    rate = play_rate(sample_rate)
    played = np.atleast_2d(resample(np.asarray(signal, np.float32) * gain, sample_rate, rate))
    limit = 10 ** (LIMIT_DBFS / 20)
    if np.abs(np.asarray(signal)).max() * gain > limit * (1 + 1e-6):
        raise ValueError(f"gain {gain:g} takes the signal above {LIMIT_DBFS:g} dBFS")
    # Resampling may overshoot between the old samples.
    played = np.clip(played, -limit, limit)
    out = io.BytesIO()
    soundfile.write(out, played.T, rate, format="FLAC", subtype="PCM_16")
    return data_uri("audio/flac", out.getvalue())


def safe_gain(signals: list[NDArray[np.floating]], peak_dbfs: float = PEAK_DBFS) -> float:
    """One gain that takes the largest peak of all `signals` to `peak_dbfs`; 1 for silence."""
    peak = max((float(np.abs(s).max()) for s in signals), default=0.0)
    return 10 ** (peak_dbfs / 20) / peak if peak > 0 else 1.0


def picture_uri(image: NDArray[np.uint8] | str | os.PathLike[str], width: int = 640) -> str:
    """A picture as a JPEG data URI, at most `width` pixels wide.

    Args:
        image: `[height, width, 3]` RGB bytes, or a path.
        width: pixels.

    Raises:
        DataError: no such file, not a picture, or another shape.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(
                f"shape {image.shape} of {image.dtype} is no picture",
                field="image",
                mend="give RGB bytes [height, width, 3]",
            )
        picture = Image.fromarray(image)
    else:
        path = Path(image)
        if not path.is_file():
            raise DataError("no such file", file=path, field="image", mend="check the path")
        try:
            picture = Image.open(path).convert("RGB")
        except (UnidentifiedImageError, OSError):
            raise DataError(
                "is no picture", file=path, field="image", mend="give a PNG or JPEG file"
            ) from None
    if picture.width > width:
        size = (width, max(round(picture.height * width / picture.width), 1))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=82, optimize=True)
    return data_uri("image/jpeg", out.getvalue())


def _lighter(match: re.Match[str]) -> str:
    """An opaque picture inside an SVG with a palette of 96 colours, if that is smaller."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(match["content"])))
    if picture.mode == "RGBA" and np.asarray(picture)[..., 3].min() < 255:
        return match[0]
    out = io.BytesIO()
    picture.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    uri = data_uri("image/png", out.getvalue())
    return uri if len(uri) < len(match[0]) else match[0]


def inline_svg(svg: str, key: str, description: str, colors: Mapping[str, str]) -> str:
    """A figure's SVG for use inside HTML.

    The prologue is dropped, ids get the prefix `key` (several figures share the page), `colors`
    are exchanged for those of the page, and the description is there for screen readers.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{key}-', body)
    body = re.sub(r'(xlink:href|href)="#', rf'\1="#{key}-', body)
    body = body.replace("url(#", f"url(#{key}-")
    for drawn, shown in colors.items():
        body = body.replace(drawn, shown)
    body = re.sub(r"data:image/png;base64,\s*(?P<content>[A-Za-z0-9+/=\s]+)", _lighter, body)
    text = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    head, rest = body.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*pt"', "", head)
    return f'{head} role="img" aria-label="{text}">{rest}'
