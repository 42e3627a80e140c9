"""The response times of a script: fixed, or drawn from a distribution for every answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import exp, log
from statistics import NormalDist
from typing import NamedTuple

__all__ = ["Delays", "Percentiles"]

_NORMAL = NormalDist()
_P95 = _NORMAL.inv_cdf(0.95)
_LEAST = 1e-9  # of chance; the normal distribution has no end


class Percentiles(NamedTuple):
    """A log-normal distribution of seconds, as response times of services are.

    Attributes:
        p50: The median.
        p95: What 95 of 100 are below.
    """

    p50: float
    p95: float

    def draw(self, chance: Callable[[], float]) -> float:
        """Return a time, in seconds.

        Args:
            chance: Returns random numbers from 0 up to 1.
        """
        if self.p50 <= 0:
            return 0.0
        deviation = log(self.p95 / self.p50) / _P95
        return self.p50 * exp(deviation * _NORMAL.inv_cdf(max(chance(), _LEAST)))


Delay = float | Percentiles | None


@dataclass(frozen=True)
class Delays:
    """Response times that take the place of those of the server's latency.

    Attributes:
        updated: From ``session.update`` to ``session.updated``.
        speech_started: From the audio to ``speech_started``.
        committed: From the commit to ``committed``.
        first_delta: From the commit to the first delta.
        completed: From the commit to ``completed``; never before the first delta.

    Raises:
        ValueError: A time is negative, or a ``p95`` is below its ``p50``.
    """

    updated: Delay = None
    speech_started: Delay = None
    committed: Delay = None
    first_delta: Delay = None
    completed: Delay = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Percentiles) and not 0 <= value.p50 <= value.p95:
                raise ValueError(f"{field.name} has p50 {value.p50:g} and p95 {value.p95:g}; p95 must not be below p50")
            if isinstance(value, Percentiles) and value.p50 == 0 < value.p95:
                raise ValueError(f"{field.name} has p50 0 and p95 {value.p95:g}; a median of 0 leaves only zeros")
            if isinstance(value, float | int) and value < 0:
                raise ValueError(f"{field.name} is {value:g}; it must be 0 or more")
