"""How long the endpoint takes to answer: PROTOCOL.md, section 6."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from rtstt_testkit.mock.script.delays import Delays, Percentiles

__all__ = ["LATENCIES", "AfterCommit", "Latency", "SessionLatency"]

#: Seconds of speech before a streaming model's first delta, by ``delay``. The range is reported [live]; the value of
#: each setting is assumed.
_STREAM_DELAYS = MappingProxyType({"minimal": 0.5, "low": 0.7, "medium": 0.9, "high": 1.15, "xhigh": 1.4})
#: The same as measured for minimal, low and high [obs-transcribe]; medium and xhigh are assumed.
_MEASURED_DELAYS = MappingProxyType({"minimal": 0.46, "low": 1.01, "medium": 1.37, "high": 1.73, "xhigh": 2.1})


class AfterCommit(NamedTuple):
    """Response times after a commit, in seconds.

    Attributes:
        committed: From the commit to ``committed``.
        first_delta: From the commit to the first delta that follows it.
        completed: From the commit to ``completed``.
    """

    committed: float
    first_delta: float
    completed: float


class Latency(NamedTuple):
    """The endpoint's response times, in seconds.

    Attributes:
        updated: From ``session.update`` to ``session.updated``.
        speech_started: From the audio to ``speech_started``.
        committed: From the commit to ``committed``.
        first_delta: From the commit to the first delta.
        completed: From the commit to ``completed``.
        by_model: The last three for the transcription models that differ.
        stream_delays: Seconds of speech before a streaming model's first delta, by ``delay``.
    """

    updated: float = 0.0
    speech_started: float = 0.0
    committed: float = 0.0
    first_delta: float = 0.0
    completed: float = 0.0
    by_model: Mapping[str, AfterCommit] = MappingProxyType({})
    stream_delays: Mapping[str, float] = _STREAM_DELAYS

    def after_commit(self, model: str | None) -> AfterCommit:
        """Return the times after a commit.

        Args:
            model: The transcription model, or None.
        """
        default = AfterCommit(self.committed, self.first_delta, self.completed)
        return self.by_model.get(model, default) if model is not None else default


class SessionLatency:
    """The response times of one session: the script's, and the server's where the script gives none.

    Args:
        latency: The server's.
        delays: The script's, None for none.
        chance: Returns random numbers from 0 up to 1.
    """

    def __init__(self, latency: Latency, delays: Delays | None, chance: Callable[[], float]) -> None:
        self._latency = latency
        self._delays = delays or Delays()
        self._chance = chance

    @property
    def updated(self) -> float:
        """From ``session.update`` to ``session.updated``, in seconds."""
        return self._draw(self._delays.updated, self._latency.updated)

    @property
    def speech_started(self) -> float:
        """From the audio to ``speech_started``, in seconds."""
        return self._draw(self._delays.speech_started, self._latency.speech_started)

    @property
    def stream_delays(self) -> Mapping[str, float]:
        """Seconds of speech before a streaming model's first delta, by ``delay``."""
        return self._latency.stream_delays

    def committed(self, model: str | None) -> float:
        """Return the time from a commit to ``committed``, in seconds.

        Args:
            model: The transcription model, or None.
        """
        return self._draw(self._delays.committed, self._latency.after_commit(model).committed)

    def transcribed(self, model: str) -> tuple[float, float]:
        """Return the times from a commit to the first delta and to ``completed``, in seconds.

        Args:
            model: The transcription model.
        """
        _, first, last = self._latency.after_commit(model)
        first = self._draw(self._delays.first_delta, first)
        return first, max(first, self._draw(self._delays.completed, last))

    def _draw(self, delay: float | Percentiles | None, default: float) -> float:
        if delay is None:
            return default
        return delay.draw(self._chance) if isinstance(delay, Percentiles) else delay


#: ``capture`` holds measured times: [capture]; for streaming models [live] (committed), [type-wave] (completed);
#: their first delta after the commit is assumed.
LATENCIES = {
    "instant": Latency(),
    "capture": Latency(
        updated=0.256,
        speech_started=0.261,
        committed=0.260,
        first_delta=1.190,
        completed=1.411,
        by_model=MappingProxyType(
            {
                "gpt-realtime-whisper": AfterCommit(0.150, 0.300, 0.572),
                "gpt-live-transcribe": AfterCommit(0.150, 0.300, 0.698),
            }
        ),
        stream_delays=_MEASURED_DELAYS,
    ),
}
