"""The outcome of a session with a real endpoint, as sentences: the shim's own diagnosis, and what the events show."""

from __future__ import annotations

from typing import cast, get_args

from rtstt_core.diagnosis import Cause, Symptom, diagnose
from rtstt_testkit.mock.inspect.explain import explain
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["sentences_of"]

_OF_A_SCRIPT = ", as the script says"


def sentences_of(record: SessionRecord, cause: str, corrected: str) -> list[str]:
    """Return the outcome of a session that no mock served.

    Args:
        record: The session.
        cause: Why there was no connection, if there was none.
        corrected: Why the shim corrected the URL; empty if it did not.
    """
    words = _outcome(record, cause)
    return [*words, f"The shim corrected the URL: {corrected}."] if corrected else words


def _outcome(record: SessionRecord, cause: str) -> list[str]:
    if cause == "cancelled":
        return ["The application gave the connection up before the server answered."]
    symptom = _symptom(record, cause)
    words = [] if symptom is None else _diagnosed(symptom)
    if record.http_status != 101 or record.refusal is not None:
        return words
    if record.close is None and not record.transcripts:
        words.append("The trace ends while the session is open.")
    # The end of the connection is in the diagnosis.
    explained = [text for text in explain(record) if symptom is None or _OF_A_SCRIPT not in text]
    return [*words, *(text.replace(_OF_A_SCRIPT, "") for text in explained)]


def _diagnosed(symptom: Symptom) -> list[str]:
    diagnosis = diagnose(symptom)
    return [f"{diagnosis.what[:1].upper()}{diagnosis.what[1:]}.", diagnosis.do]


def _symptom(record: SessionRecord, cause: str) -> Symptom | None:
    """Return the failure that ended the session, or None."""
    if record.http_status == 0:
        known = cause if cause in get_args(Cause) else "other"
        return Symptom("connect", message=record.http_message, cause=cast(Cause, known))
    if record.http_status != 101:
        return Symptom("handshake", status=record.http_status, message=record.http_message)
    close, refusal = record.close, record.refusal
    if close is None or close.by == "client" or close.code in (1000, 1001):
        return None
    ended = Symptom("close", close_code=close.code, close_reason=close.reason)
    if refusal is None:
        return ended
    return ended._replace(
        kind="error", type=refusal.type, code=refusal.code, message=refusal.message, param=refusal.param
    )
