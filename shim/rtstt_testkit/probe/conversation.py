"""The rows of the probe for a server that has conversations only: the input of a conversation is transcribed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtstt_testkit.probe.rows import Row, SendFrame, Step

__all__ = ["as_conversations"]


def as_conversations(rows: Sequence[Row], model: str) -> list[Row]:
    """Return the rows that a conversation can answer, rewritten for it.

    Args:
        rows: The rows.
        model: The conversation's model, which the URL names.

    Returns:
        The compatible rows on the session object and on transcribing. Their sessions are of type ``realtime`` and never
        create a response.
    """
    return [
        row._replace(
            query=f"model={model}", steps=tuple(map(_step, row.steps)), not_compared=(*row.not_compared, "conversation")
        )
        for row in rows
        if row.compatible and row.group != "connecting"
    ]


def _step(step: Step) -> Step:
    if not (isinstance(step, SendFrame) and isinstance(step.frame, dict)):
        return step
    session = step.frame.get("session")
    if step.frame.get("type") != "session.update" or not isinstance(session, dict):
        return step
    audio = session.get("audio", {})
    audio_input: dict[str, Any] = dict(audio.get("input", {}))
    detection = audio_input.get("turn_detection", {"type": "server_vad"})
    if detection is not None:
        audio_input["turn_detection"] = {**detection, "create_response": False}
    changed = {**session, "type": "realtime", "audio": {**audio, "input": audio_input}}
    return SendFrame({**step.frame, "session": changed})
