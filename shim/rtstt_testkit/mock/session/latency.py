"""How long the endpoint takes."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LATENCIES", "Latency"]


class Latency(NamedTuple):
    """Times in seconds.

    Attributes:
        updated: From ``session.update`` to ``session.updated``.
        speech_started: From the audio to ``speech_started``.
        committed: From the commit to ``committed``.
        first_delta: From the commit to the first delta.
        completed: From the commit to ``completed``.
    """

    updated: float = 0.0
    speech_started: float = 0.0
    committed: float = 0.0
    first_delta: float = 0.0
    completed: float = 0.0


#: ``capture`` is what was measured on 2026-09-18.
LATENCIES = {"instant": Latency(), "capture": Latency(0.256, 0.261, 0.260, 1.190, 1.411)}
