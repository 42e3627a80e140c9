"""The URL that a client opened, in parts, with what the server refused marked."""

from __future__ import annotations

from typing import Any

from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["url_parts"]

_PATH_STATUSES = (403, 404)


def url_parts(record: SessionRecord) -> list[dict[str, Any]]:
    """Return the URL as texts in order, each with what is wrong in it or None.

    Args:
        record: The session.
    """
    handshake = record.handshake
    code = record.refusal.code if record.refusal else None
    known_path = handshake.path.rstrip("/").endswith("/realtime")
    wrong_path = "No endpoint." if record.http_status in _PATH_STATUSES and not known_path else None
    parts = [_part(handshake.path, wrong_path)]
    separator = "?"
    for name, values in handshake.query.items():
        for value in values:
            wrong = "Refused: remove it." if code == "invalid_model" and name == "model" else None
            parts += [_part(separator, None), _part(f"{name}={value}", wrong)]
            separator = "&"
    if code == "missing_model":
        parts += [_part(separator, None), _part("intent=transcription", "Missing: add it.")]
    return parts


def _part(text: str, wrong: str | None) -> dict[str, Any]:
    return {"text": text, "wrong": wrong}
