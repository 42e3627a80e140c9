"""Short recordings of speech with their texts, which the mock recognizes.

Nine sentences by eight voices in English, German, French and Spanish, made with espeak-ng by ``scripts/make_speech.py``
and under this project's licence. ``load("hold+shortly")`` returns two of them with a pause between.
"""

from __future__ import annotations

import wave
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

__all__ = ["PAUSE", "Recording", "load", "recordings", "silence"]

_RATE = 24000
#: The pause between joined recordings, in seconds; longer than the silence that ends a turn.
PAUSE = 0.7


class Recording(NamedTuple):
    """A recording, which begins with the first sound and ends with the last.

    Attributes:
        name: Its name.
        text: The spoken text.
        pcm: 16-bit little-endian mono samples at 24 kHz, as ``input_audio_buffer.append`` takes them.
    """

    name: str
    text: str
    pcm: bytes

    @property
    def seconds(self) -> float:
        """Its length, in seconds."""
        return len(self.pcm) / 2 / _RATE

    def __repr__(self) -> str:
        return f"<recording {self.name} {self.seconds:.2f} s {self.text!r}>"


@lru_cache(maxsize=1)
def recordings() -> dict[str, Recording]:
    """Return all recordings by name."""
    folder = files(__name__)
    found = {}
    for line in folder.joinpath("texts.tsv").read_text("utf-8").splitlines():
        name, text = line.split("\t")
        with folder.joinpath(f"{name}.wav").open("rb") as raw, wave.open(raw) as file:
            found[name] = Recording(name, text, file.readframes(file.getnframes()))
    return found


def load(name: str = "hello") -> Recording:
    """Return one recording.

    Args:
        name: Its name; several joined by ``+`` are one recording, with pauses of `PAUSE` between.

    Raises:
        KeyError: No recording has that name; the message lists the names.
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
    """Return silence as 16-bit mono samples at 24 kHz.

    Args:
        seconds: Its length, in seconds.
    """
    return bytes(2 * round(seconds * _RATE))
