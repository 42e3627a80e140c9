"""Frames: a client's bytes cut into the short TEXT messages that nearly all of a session consists of, and the rest.

websockets parses frames in Python, one generator step a field, which costs more than all that the mock does with an
append. This reads only the plainest frame there is, a masked TEXT message in one piece and shorter than 64 KiB; the
bytes of every other frame go to websockets as they came, which alone answers it, refuses it, or puts it together. The
layout is that of RFC 6455, section 5.2.
"""

from __future__ import annotations

from collections.abc import Callable

try:
    from websockets.speedups import apply_mask
except ImportError:  # websockets without its C extension
    from websockets.utils import apply_mask

__all__ = ["FrameReader", "text_frame"]

_TEXT = 0x81  # a whole message, and no extension's bits
_CLOSE = 0x88
_MASKED = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
_MASK = 4


def text_frame(payload: bytes) -> bytes:
    """A server's TEXT message in one piece, not compressed."""
    size = len(payload)
    if size < _LENGTH_16:
        head = bytes((_TEXT, size))
    elif size < 1 << 16:
        head = bytes((_TEXT, _LENGTH_16)) + size.to_bytes(2, "big")
    else:
        head = bytes((_TEXT, _LENGTH_64)) + size.to_bytes(8, "big")
    return head + payload


class FrameReader:
    """Reads one connection from a frame's first byte on.

    Args:
        take: Gets the payload of each short TEXT message; False when it declines.
        pass_on: Gets the bytes of everything else.

    Attributes:
        direct: Whether messages are still taken. Once ``take`` declined, or somebody set this to False, or the client
            said CLOSE, all bytes are passed on.
    """

    __slots__ = ("_missing", "_pass_on", "_rest", "_take", "direct")

    def __init__(self, take: Callable[[bytes], bool], pass_on: Callable[[bytes], None]) -> None:
        self._take = take
        self._pass_on = pass_on
        self._rest = b""
        self._missing = 0
        self.direct = True

    def feed(self, data: bytes) -> None:
        """Read on.

        Args:
            data: The bytes that came.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        if self._missing:
            at = self._pass_on_some(data, 0)
        while self.direct and end - at >= 2:
            length = data[at + 1] - _MASKED
            if data[at] != _TEXT or not 0 <= length <= _LENGTH_16:
                stop = self._other_frame(data, at)
                if stop == at:
                    break
                at = stop
                continue
            body = at + 2 + _MASK
            if length == _LENGTH_16:
                body += 2
                if body > end:
                    break
                length = data[at + 2] << 8 | data[at + 3]
            stop = body + length
            if stop > end:
                break
            if not self._take(apply_mask(data[body:stop], data[body - _MASK : body])):
                self.direct = False
                break
            at = stop
        if self.direct:
            self._rest = data[at:]
        elif at < end:
            self._pass_on(data[at:])

    def _other_frame(self, data: bytes, at: int) -> int:
        """Pass on a frame that is not ours, as far as it is there; returns where what is left begins."""
        length = data[at + 1] - _MASKED
        if length < 0:  # not masked, which websockets refuses
            self.direct = False
            return at
        body = at + 2 + _MASK
        if length >= _LENGTH_16:
            size = 2 if length == _LENGTH_16 else 8
            body += size
            if body > len(data):
                return at
            length = int.from_bytes(data[at + 2 : at + 2 + size], "big")
        self._missing = body + length - at
        stop = self._pass_on_some(data, at)
        if data[at] == _CLOSE:
            self.direct = False
        return stop

    def _pass_on_some(self, data: bytes, at: int) -> int:
        """Pass on what is there of the bytes that are missing; returns where what is left begins."""
        stop = min(at + self._missing, len(data))
        self._missing -= stop - at
        self._pass_on(data[at:stop])
        return stop
