"""Short recordings of speech with their texts; the mock knows them when it hears them.

Nine sentences by eight voices in English, German, French and Spanish, made with espeak-ng by ``scripts/make_speech.py``
and under this project's licence. ``load("hold+shortly")`` is two of them with a pause between.
"""

from __future__ import annotations

import wave
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

__all__ = ["PAUSE", "Recording", "load", "recordings", "silence"]

_RATE = 24000
#: Between the sentences of a recording made of several, in seconds: longer than the silence that ends a turn.
PAUSE = 0.7


class Recording(NamedTuple):
    """A recording: it begins with the first sound and ends with the last.

    Attributes:
        name: Of the recording.
        text: What is said.
        pcm: 16-bit little-endian mono samples at 24 kHz, as ``input_audio_buffer.append`` takes them.
    """

    name: str
    text: str
    pcm: bytes

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.pcm) / 2 / _RATE


@lru_cache(maxsize=1)
def recordings() -> dict[str, Recording]:
    """All recordings by name."""
    folder = files(__name__)
    found = {}
    for line in folder.joinpath("texts.tsv").read_text("utf-8").splitlines():
        name, text = line.split("\t")
        with folder.joinpath(f"{name}.wav").open("rb") as raw, wave.open(raw) as file:
            found[name] = Recording(name, text, file.readframes(file.getnframes()))
    return found


def load(name: str = "hello") -> Recording:
    """One recording.

    Args:
        name: Of the recording; several joined by ``+`` are one, with pauses of `PAUSE` between.

    Raises:
        KeyError: There is none of that name; the message lists those that are there.
    """
    known = recordings()
    parts = name.split("+")
    for part in parts:
        if part not in known:
            raise KeyError(f"no recording {part!r}; there are {', '.join(known)}")
    if len(parts) == 1:
        return known[name]
    text = " ".join(known[part].text for part in parts)
    return Recording(name, text, silence(PAUSE).join(known[part].pcm for part in parts))


def silence(seconds: float) -> bytes:
    """Silence as 16-bit mono samples at 24 kHz.

    Args:
        seconds: How long.
    """
    return bytes(2 * round(seconds * _RATE))
