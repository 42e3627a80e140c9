"""Audio as samples at 8 kHz for the comparison with a recording, and where it has sound.

It needs numpy, which the extra ``exam`` installs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rtstt_testkit.mock.audio.formats import AudioFormat, decode_g711

__all__ = ["FRAME", "RATE", "Signal", "at_8k", "floor", "frames", "resample", "samples", "voiced"]

Signal = npt.NDArray[np.float32]

#: Samples per second.
RATE = 8000
#: Samples that are sound or silence together: a hundredth of a second.
FRAME = 80

_QUIET = 0.05  # of the loudest frames


def samples(audio: bytes, format_: AudioFormat) -> Any:
    """Return the 16-bit samples of audio, G.711 decoded.

    Args:
        audio: The audio; an incomplete sample at its end is left out.
        format_: Its format.
    """
    if format_.width == 2:
        return np.frombuffer(audio[: len(audio) // 2 * 2], "<i2")
    table = np.frombuffer(decode_g711(bytes(range(256)), format_.name), "<i2")
    return table[np.frombuffer(audio, np.uint8)]


def at_8k(samples: Any, rate: int) -> Signal:
    """Return samples at 8 kHz, without their mean and at most 1 in size.

    Args:
        samples: 16-bit samples.
        rate: Their number a second.
    """
    if rate % RATE == 0 and rate > RATE:
        step = rate // RATE
        count = len(samples) // step
        signal: Signal = np.zeros(count, np.float32)
        for first in range(step):
            signal += samples[first : count * step : step]
        signal /= step
    elif rate == RATE:
        signal = samples.astype(np.float32)
    else:
        signal = resample(samples.astype(np.float32), rate, RATE)
    if len(signal):
        signal -= signal.mean()
    signal /= 32768
    return signal


def resample(signal: Any, rate: int, target: int) -> Signal:
    """Return a signal at another rate: each new sample is the mean of the old ones that it covers.

    Args:
        signal: The signal.
        rate: Its samples per second.
        target: The samples per second of the result.
    """
    count = len(signal) * target // rate
    sums = np.concatenate([[0.0], np.cumsum(signal, dtype=np.float64)])
    edges = np.arange(count + 1) * (rate / target)
    values = np.interp(edges, np.arange(len(sums)), sums)
    means: Signal = (np.diff(values) * (target / rate)).astype(np.float32)
    return means


def frames(flags: Any) -> Any:
    """Return for each frame whether most of it is flagged."""
    return flags[: len(flags) // FRAME * FRAME].reshape(-1, FRAME).mean(axis=1) > 0.5


def _powers(signal: Signal) -> Any:
    rows = signal[: len(signal) // FRAME * FRAME].reshape(-1, FRAME)
    return np.einsum("ij,ij->i", rows, rows) / FRAME


def floor(signal: Signal) -> float:
    """Return the mean square below which a signal is silent."""
    powers = _powers(signal)
    loud = float(np.percentile(powers, 95)) if len(powers) else 0.0
    if loud <= 1e-9 and len(powers):  # little sound in much silence
        loud = float(powers.max())
    return max(loud * _QUIET**2, 1e-9)


def voiced(signal: Signal) -> Any:
    """Return for each frame whether it has sound."""
    return _powers(signal) >= floor(signal)
