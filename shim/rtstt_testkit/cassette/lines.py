"""One connection of a recording: from its handshake and its frames to lines, without secrets.

An append becomes a line that names the bytes of its audio in a WAV file. Every other event is written whole, with
secrets masked and identifiers replaced.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal, Protocol

from rtstt_core.masking import mask_json, mask_keys
from rtstt_testkit.cassette.ids import Placeholders
from rtstt_testkit.cassette.wav import AudioRange, Encoding, session_encoding
from rtstt_testkit.mock.protocol.events import Sender, b64decode, plain_append
from rtstt_testkit.mock.protocol.handshake import Request

__all__ = [
    "APPEND",
    "BINARY",
    "NO_EVENT",
    "LineWriter",
    "SessionLines",
    "encode",
    "masked_exchange",
    "parsed",
    "unparsed",
]

APPEND = "input_audio_buffer.append"
BINARY = "(binary)"
NO_EVENT = "(no event)"

Direction = Literal["input", "output"]


class LineWriter(Protocol):
    """What lines and audio are written to."""

    def line(self, data: bytes) -> None:
        """Write a line, line feed included."""

    def audio(self, session: int, sender: Sender, encoding: Encoding, audio: bytes) -> AudioRange:
        """Write audio, and return where it is."""


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)  # making one costs as much as a short line


def encode(line: dict[str, Any]) -> bytes:
    """Return a line as bytes, line feed included."""
    try:
        return _ENCODER.encode(line).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can express and UTF-8 cannot
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"


class SessionLines:
    """The lines of one connection.

    Args:
        out: What they are written to.
        number: The number of the session, from 1.
        host: The host that the client connected to.
        request: The opening handshake.
        wall: The time of day, in seconds since 1970.
    """

    def __init__(self, out: LineWriter, number: int, host: str, request: Request, wall: float | None = None) -> None:
        self._out = out
        self._number = number
        self._ids = Placeholders()
        self._encodings: dict[Direction, Encoding] = {
            "input": Encoding("pcm", 24000),
            "output": Encoding("pcm", 24000),
        }
        self._answered = self._ended = False
        shown = request.record()
        self._line(
            0.0,
            {
                "time": round(time.time() if wall is None else wall, 3),
                "handshake": {
                    "host": mask_keys(host),
                    "path": shown.path,
                    "query": shown.query,
                    "headers": shown.headers,
                    "subprotocols": shown.subprotocols,
                },
            },
        )

    # -- what happened

    def accepted(self, at: float) -> None:
        """Write that the handshake was accepted.

        Args:
            at: Seconds since the connection opened.
        """
        if not self._answered:
            self._answered = True
            self._line(at, {"http_status": 101})

    def refused(self, at: float, status: int, body: str) -> None:
        """Write a response to the handshake other than 101.

        Args:
            at: Seconds since the connection opened.
            status: The HTTP status.
            body: The body.
        """
        self._answered = self._ended = True
        try:
            message = mask_json(json.loads(body))
        except (ValueError, RecursionError):
            message = mask_keys(body)
        self._line(at, {"http_status": status, "message": message})

    def failed(self, at: float, reason: str) -> None:
        """Write why there was no connection.

        Args:
            at: Seconds since the client connected.
            reason: The reason.
        """
        if not self._answered and not self._ended:
            self._ended = True
            self._line(at, {"failed": mask_keys(reason)})

    def text(self, sender: Sender, payload: bytes, at: float) -> None:
        """Write a TEXT message.

        Args:
            sender: Who sent it.
            payload: The message.
            at: Seconds since the connection opened.
        """
        if sender == "client" and (audio := plain_append(payload)) is not None:
            self._append(audio, at)
            return
        self.event(sender, parsed(payload), at)

    def event(self, sender: Sender, event: dict[str, Any], at: float) -> None:
        """Write an event.

        Args:
            sender: Who sent it.
            event: The event.
            at: Seconds since the connection opened.
        """
        self._follow_formats(event)
        event = self._without_audio(event, sender)
        self._event(sender, at, self._ids.replace(mask_json(event)))

    def binary(self, sender: Sender, size: int, at: float) -> None:
        """Write that a BINARY message arrived.

        Args:
            sender: Who sent it.
            size: Its length, in bytes.
            at: Seconds since the connection opened.
        """
        self._event(sender, at, {"type": BINARY, "bytes": size})

    def closed(self, code: int, reason: str, by: Sender, at: float) -> None:
        """Write how the connection ended.

        Args:
            code: The close code; 1006 without a CLOSE frame.
            reason: The close reason.
            by: Who closed it.
            at: Seconds since the connection opened.
        """
        if not self._ended:
            self._ended = True
            self._line(at, {"close": {"code": code, "reason": mask_keys(reason), "by": by}})

    # -- lines

    def _line(self, at: float, fields: dict[str, Any]) -> None:
        self._out.line(encode({"session": self._number, "at": round(at, 6), **fields}))

    def _event(self, sender: Sender, at: float, event: dict[str, Any]) -> None:
        self._line(at, {"sender": sender, "event": event})

    def _append(self, audio: bytes, at: float) -> None:
        encoding = self._encodings["input"]
        place = self._out.audio(self._number, "client", encoding, audio)
        milliseconds = round(1000 * place.size / encoding.bytes_per_second, 3)
        # Written by hand: nearly all lines of a recording are these.
        self._out.line(
            b'{"session":%d,"at":%s,"sender":"client","event":{"type":"%s","audio_bytes":%d,"audio_ms":%s,'
            b'"wav":%s,"audio_start":%d}}\n'
            % (
                self._number,
                repr(round(at, 6)).encode(),
                APPEND.encode(),
                place.size,
                repr(milliseconds).encode(),
                json.dumps(place.file).encode(),
                place.start,
            )
        )

    # -- audio

    def _follow_formats(self, event: dict[str, Any]) -> None:
        """Read the audio formats from an event that describes the session."""
        directions: tuple[Direction, Direction] = ("input", "output")
        for direction in directions:
            encoding = session_encoding(event, direction)
            if encoding is not None:
                self._encodings[direction] = encoding

    def _without_audio(self, event: dict[str, Any], sender: Sender) -> dict[str, Any]:
        """Return an event with its audio replaced by where that is."""
        if sender == "server" and str(event.get("type")).endswith("audio.delta"):
            return self._moved(event, "delta", sender)
        moved: dict[str, Any] = self._moved_inside(event, sender)
        return moved

    def _moved_inside(self, data: Any, sender: Sender) -> Any:
        """Replace the audio of an append and of content parts."""
        if isinstance(data, list):
            return [self._moved_inside(value, sender) for value in data]
        if not isinstance(data, dict):
            return data
        inside = {name: self._moved_inside(value, sender) for name, value in data.items()}
        return self._moved(inside, "audio", sender)

    def _moved(self, event: dict[str, Any], name: str, sender: Sender) -> dict[str, Any]:
        text = event.get(name)
        if not isinstance(text, str) or not text:
            return event
        try:
            audio = b64decode(text)
        except ValueError:  # it is written as it is
            return event
        encoding = self._encodings["input" if sender == "client" else "output"]
        place = self._out.audio(self._number, sender, encoding, audio)
        return {
            **{key: value for key, value in event.items() if key != name},
            "audio_bytes": place.size,
            "audio_ms": round(1000 * place.size / encoding.bytes_per_second, 3),
            "wav": place.file,
            "audio_start": place.start,
        }


def parsed(message: str | bytes) -> dict[str, Any]:
    """Return the event in a TEXT message.

    What is not an event is one of the type ``(no event)``, with the JSON object as its ``data``, or with its ``text``.

    Args:
        message: The message.
    """
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        event = None
    if isinstance(event, dict):
        return event if isinstance(event.get("type"), str) else {"type": NO_EVENT, "data": event}
    return {"type": NO_EVENT, "text": message.decode("utf-8", "replace") if isinstance(message, bytes) else message}


def unparsed(event: dict[str, Any]) -> str | bytes:
    """Return the message that an event stands for; one of a BINARY message has bytes of zero."""
    if event["type"] == BINARY:
        return bytes(int(event.get("bytes", 0)))
    if event["type"] != NO_EVENT:
        return json.dumps(event)
    return json.dumps(event["data"]) if "data" in event else str(event.get("text", ""))


def masked_exchange(method: str, path: str, status: int, request: bytes, response: bytes) -> dict[str, Any]:
    """Return an HTTP request and its response as a line has them, without secrets and with placeholders.

    Args:
        method: The request's method.
        path: The request's path.
        status: The status of the response.
        request: The request's body.
        response: The response's body.
    """
    ids = Placeholders()

    def shown(body: bytes) -> Any:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return mask_keys(body.decode("utf-8", "replace"))
        return ids.replace(mask_json(data)) if isinstance(data, dict) else mask_json(data)

    return {
        "method": method,
        "path": mask_keys(path),
        "request": shown(request),
        "status": status,
        "response": shown(response),
    }
