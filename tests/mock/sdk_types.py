"""Strict parsing with the openai SDK's own event types, and the differences to the wire that are known."""

from typing import Any, get_args

from openai import BaseModel
from openai.types.realtime import RealtimeServerEvent

#: Fields on the wire that the SDK's types do not have, each with where it was seen.
KNOWN_DIFFERENCES = {
    "conversation.item.input_audio_transcription.delta: obfuscation": "capture of 2026-09-18",
    "session.created: session.id": "capture of 2026-09-18",
    "session.created: session.object": "capture of 2026-09-18",
    "session.created: session.expires_at": "capture of 2026-09-18",
    "session.updated: session.id": "capture of 2026-09-18",
    "session.updated: session.object": "capture of 2026-09-18",
    "session.updated: session.expires_at": "capture of 2026-09-18",
}

_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(RealtimeServerEvent)[0])
}


def differences(event: dict[str, Any]) -> set[str]:
    """Validate an event strictly; return the fields beyond the SDK's types, as in ``KNOWN_DIFFERENCES``."""
    parsed = _MODELS[event["type"]].model_validate(event, strict=True)
    return {f"{event['type']}: {path}" for path in _extras(parsed)}


def check(event: dict[str, Any]) -> None:
    """Fail for an event that the SDK's types would not describe."""
    unknown = differences(event) - set(KNOWN_DIFFERENCES)
    assert not unknown, f"the openai SDK's types do not have {sorted(unknown)}"


def _extras(value: Any, path: str = "") -> list[str]:
    found = []
    if isinstance(value, BaseModel):
        found += [path + name for name in value.model_extra or {}]
        for name in type(value).model_fields:
            found += _extras(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, list):
        for element in value:
            found += _extras(element, path)
    return found
