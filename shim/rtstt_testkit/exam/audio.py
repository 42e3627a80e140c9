"""The recording of a scenario, as a WAV file and as a stream."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

from rtstt_testkit.speech import Recording, load, silence

__all__ = ["RATE", "spoken", "write_wav"]

RATE = 24000
_PAUSE = 1.2  # seconds between turns, longer than the silence that ends one
_TAIL = 1.6  # seconds after the last turn


def spoken(turns: Sequence[str]) -> Recording:
    """Return recordings with pauses between, and with a pause that ends the last turn.

    Args:
        turns: The names of bundled recordings.
    """
    pcm = silence(_PAUSE).join(load(name).pcm for name in turns) + silence(_TAIL)
    return Recording("+".join(turns), " ".join(load(name).text for name in turns), pcm)


def write_wav(path: Path, recording: Recording) -> None:
    """Write a recording to a file.

    Args:
        path: The path of the file.
        recording: The recording.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(recording.pcm)
