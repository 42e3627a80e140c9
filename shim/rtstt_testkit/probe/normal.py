"""Normalise events for comparison: identifiers, times and random text become placeholders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["Normalizer", "collapse"]

_ID = re.compile(r"(event|item|sess|resp|conv|ek)_.+")
#: Inside a text an identifier must look random; otherwise words with underscores would match.
_ID_IN_TEXT = re.compile(r"\b(event|item|sess|resp|conv|ek)_(?=[0-9A-Za-z_-]*[0-9A-Z])[0-9A-Za-z_-]{12,}")
_FORMAT = re.compile(r"[a-z]+_[0-9A-Za-z]{21}")
_SENT_BY_ROWS = frozenset({"item_probe"})
_EPHEMERAL = re.compile(r"\bek_[0-9A-Za-z]{8,}")
_ASTERISKS = re.compile(r"\*{2,}")
_WORDS = re.compile(r"[\w'’]+")
_DELTA = "conversation.item.input_audio_transcription.delta"
_SEGMENT = "conversation.item.input_audio_transcription.segment"
_COMPLETED = "conversation.item.input_audio_transcription.completed"
_LOGPROB = {"token", "logprob", "bytes"}


class Normalizer:
    """Normalises the events of one attempt; equal identifiers get equal placeholders.

    Args:
        secrets: The API key and other texts that are masked.
        id_format: Whether to keep an identifier that does not have the endpoint's format.
    """

    def __init__(self, secrets: Sequence[str], id_format: bool = False) -> None:
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self._id_format = id_format
        self._names: dict[str, str] = {}
        self._deltas: dict[str, str] = {}

    def mask(self, value: Any) -> Any:
        """Return a value with the key and ephemeral secrets masked."""
        return _each(value, lambda text: _EPHEMERAL.sub("ek_***", self._mask(text)))

    def event(self, event: dict[str, Any], wall: float) -> dict[str, Any]:
        """Return an event normalised.

        Args:
            event: The event as received.
            wall: The time it was received, in seconds since 1970.
        """
        type_ = event.get("type")
        text = event.get("delta")
        if type_ == _DELTA and isinstance(text, str):
            self._deltas[str(event.get("item_id"))] = self._deltas.get(str(event.get("item_id")), "") + text
        normal = {name: self._field(name, value, wall) for name, value in event.items()}
        if type_ == _DELTA:
            normal["delta"] = "<text>"
        elif type_ == _SEGMENT:
            normal = {**normal, **{name: f"<{name}>" for name in ("id", "text", "start", "end") if name in normal}}
        elif type_ == _COMPLETED:
            normal["(the deltas joined)"] = self._joined(event)
        return normal

    def _joined(self, event: dict[str, Any]) -> str:
        joined, transcript = self._deltas.get(str(event.get("item_id")), ""), event.get("transcript")
        return "the transcript" if joined == transcript else f"something else: {joined}"

    def _field(self, name: str, value: Any, wall: float) -> Any:
        if isinstance(value, dict):
            return {key: self._field(key, inner, wall) for key, inner in value.items()}
        if name == "expires_at" and isinstance(value, int | float) and value:
            return f"<now + {round((value - wall) / 60) * 60} s>"
        if name == "transcript" and isinstance(value, str):
            return " ".join(_WORDS.findall(value.lower()))
        if name == "obfuscation" and isinstance(value, str) and value:
            return "<text>"
        if name == "logprobs" and isinstance(value, list) and value:
            right = all(isinstance(part, dict) and set(part) == _LOGPROB for part in value)
            return "<logprobs>" if right else value
        if isinstance(value, str) and (name == "id" or name.endswith("_id")):
            return _ID.sub(self._name, value)
        return _each(value, self._text)

    def _text(self, text: str) -> str:
        text = self._mask(text)
        return _EPHEMERAL.sub("ek_***", _ASTERISKS.sub("****", _ID_IN_TEXT.sub(self._name, text)))

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _name(self, match: re.Match[str]) -> str:
        kind = match[1]
        if match[0] in _SENT_BY_ROWS or (self._id_format and not _FORMAT.fullmatch(match[0])):
            return match[0]
        if kind in {"event", "sess", "conv", "ek"}:  # one per session, or of no interest
            return f"<{kind}>"
        if match[0] not in self._names:
            number = 1 + sum(name.startswith(f"<{kind} ") for name in self._names.values())
            self._names[match[0]] = f"<{kind} {number}>"
        return self._names[match[0]]


def _each(value: Any, change: Any) -> Any:
    """Return a value with a function applied to every string in it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_each(name, change): _each(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_each(inner, change) for inner in value]
    return value


def collapse(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge equal deltas, and equal segments, that follow each other: their number varies from run to run."""
    kept: list[dict[str, Any]] = []
    for event in events:
        if kept and event == kept[-1] and event.get("type") in {_DELTA, _SEGMENT}:
            continue
        kept.append(event)
    return kept
