"""One message as it is traced: without secrets, and without audio unless that is kept."""

from __future__ import annotations

import json
from typing import Any

from rtstt_core.masking import mask_json, mask_keys

__all__ = ["AudioRates", "traced_binary", "traced_text"]

# A longer text, such as an image as a data URL, is cut.
_MAX_TEXT = 20_000
_MAX_UNKNOWN = 200
# Bytes a millisecond: 16-bit PCM at 24 kHz, and G.711 at 8 kHz.
_PCM, _G711 = 48.0, 8.0
_APPEND = "input_audio_buffer.append"


class AudioRates:
    """The audio formats of one session, as far as its events show them.

    Attributes:
        input: Bytes a millisecond of the client's audio.
        output: Bytes a millisecond of the server's audio.
    """

    def __init__(self) -> None:
        self.input = self.output = _PCM

    def update(self, event: dict[str, Any]) -> None:
        """Read the formats from an event that describes the session.

        Args:
            event: Any event.
        """
        session = event.get("session")
        if not isinstance(session, dict):
            return
        for direction in ("input", "output"):
            rate = _rate_of(session, direction)
            if rate is not None:
                setattr(self, direction, rate)


def _rate_of(session: dict[str, Any], direction: str) -> float | None:
    audio = session.get("audio")
    side = audio.get(direction) if isinstance(audio, dict) else None
    format_ = side.get("format") if isinstance(side, dict) else None
    # The Beta's sessions have `input_audio_format`, such as `g711_ulaw`.
    name = format_.get("type") if isinstance(format_, dict) else session.get(f"{direction}_audio_format")
    if not isinstance(name, str):
        return None
    return _G711 if name in ("audio/pcmu", "audio/pcma") or name.startswith("g711") else _PCM


def traced_text(message: str | bytes, rates: AudioRates, *, keep_audio: bool) -> dict[str, Any]:
    """Return the event of a TEXT message.

    In place of audio it has ``audio_bytes`` and ``audio_ms``; audio that is kept stands beside them. A text that is not
    an event becomes one of the type ``(no event)`` with the beginning of the text.

    Args:
        message: The message.
        rates: The session's audio formats, which the event may change.
        keep_audio: Whether to keep the audio itself.
    """
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        text = message.decode(errors="replace") if isinstance(message, bytes) else message
        # Masked before it is cut: a part of a key no longer looks like one.
        return {"type": "(no event)", "text": mask_keys(text)[:_MAX_UNKNOWN]}
    rates.update(event)
    if event["type"].endswith("audio.delta"):
        _replace_audio(event, "delta", rates.output, keep_audio)
    _replace_audio_in(event, rates.input, keep_audio)
    found: dict[str, Any] = _cut(mask_json(event))
    return found


def traced_binary(size: int) -> dict[str, Any]:
    """Return the event that stands for a BINARY message.

    Args:
        size: The length of the message, in bytes.
    """
    return {"type": "(binary)", "bytes": size}


def _replace_audio_in(data: Any, rate: float, keep_audio: bool) -> None:
    """Replace the audio of an append and of content parts."""
    if isinstance(data, list):
        for value in data:
            _replace_audio_in(value, rate, keep_audio)
    elif isinstance(data, dict):
        _replace_audio(data, "audio", rate, keep_audio)
        for value in data.values():
            _replace_audio_in(value, rate, keep_audio)


def _replace_audio(event: dict[str, Any], name: str, rate: float, keep_audio: bool) -> None:
    audio = event.get(name)
    if not isinstance(audio, str):
        return
    size = max(0, len(audio) * 3 // 4 - audio[-2:].count("="))
    if not keep_audio:
        del event[name]
    event["audio_bytes"], event["audio_ms"] = size, round(size / rate, 1)


def _cut(data: Any) -> Any:
    """Return JSON data with its long texts cut, except audio that is kept."""
    if isinstance(data, str):
        return data if len(data) <= _MAX_TEXT else f"{data[:_MAX_TEXT]}… [{len(data)} characters]"
    if isinstance(data, list):
        return [_cut(value) for value in data]
    if not isinstance(data, dict):
        return data
    audio = ("audio", "delta") if "audio_bytes" in data else ()
    return {name: value if name in audio and isinstance(value, str) else _cut(value) for name, value in data.items()}
