"""The short TEXT frames that nearly all of a session consists of, read without websockets' parser.

websockets parses frames in Python, one generator step for each field. On one machine an append of 50 ms takes the mock
14 µs of CPU with this reader and 19 µs without it, and CopilotKit aimock 1.43.0 15 µs; the mock must not be slower. It
reads only the plainest frame there is, a masked TEXT message in one frame of less than 64 KiB, and passes the bytes of
every other frame to websockets unchanged, which alone answers it, refuses it or reassembles it. A test compares the
two. The layout is that of RFC 6455, section 5.2.
"""

from __future__ import annotations

from collections.abc import Callable

try:
    from websockets.speedups import apply_mask
except ImportError:  # websockets without its C extension
    from websockets.utils import apply_mask

__all__ = ["FrameReader"]

_FIN = 0x80
_OPCODE = 0x0F
_CONTINUATION, _TEXT, _BINARY = 0, 1, 2
_MESSAGES = frozenset({_CONTINUATION, _TEXT, _BINARY})
_OPCODES = _MESSAGES | {8, 9, 10}
_PLAIN = _FIN | _TEXT  # a whole message, without an extension's bits
_MASKED = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
_MASK = 4
_ALL = 1 << 62


class FrameReader:
    """Reads the frames of one connection, from the first byte after the opening handshake.

    Args:
        receive_text: Receives the payload of each plain TEXT frame; returns False when websockets has to refuse it.
        pass_on: Receives the bytes of all other frames; returns False when the connection accepts no more messages.

    Attributes:
        direct: Whether plain frames are still read here. If not, all bytes are passed on.
    """

    __slots__ = ("_discards", "_fragmented", "_missing", "_pass_on", "_receive_text", "_rest", "_unwanted", "direct")

    def __init__(self, receive_text: Callable[[bytes], bool], pass_on: Callable[[bytes], bool]) -> None:
        self._receive_text = receive_text
        self._pass_on = pass_on
        self._rest = b""
        self._missing = 0
        self._fragmented = False
        self._discards = False
        self._unwanted = 0  # bytes that are missing of a frame that is discarded
        self.direct = True

    def receive(self, data: bytes, limit: int = _ALL) -> bool:
        """Read the frames in bytes from the network.

        Args:
            data: The bytes.
            limit: The number of frames to read at most.

        Returns:
            Whether the limit was reached; ``receive(b"")`` continues then.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        if self._missing:
            at = self._pass_on_frame(data, 0)
        while self.direct and end - at >= 2:
            if not limit:
                self._rest = data[at:]
                return True
            limit -= 1
            length = data[at + 1] - _MASKED
            if data[at] != _PLAIN or not 0 <= length <= _LENGTH_16 or self._fragmented:
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
            if not self._receive_text(apply_mask(data[body:stop], data[body - _MASK : body])):
                self.direct = False
                self._pass_on(data[at:stop])  # alone: websockets would answer a CLOSE behind it first
            at = stop
        if self.direct:
            self._rest = data[at:]
        elif self._discards:
            self._discard(data, at)
        elif at < end:
            self._pass_on(data[at:])
        return False

    def discard_messages(self) -> None:
        """Pass on only control frames from now on: a client that is sent a CLOSE may send messages before it answers.

        Discarding a message takes a fiftieth of the time that websockets takes to read it.
        """
        self.direct = False
        self._discards = True

    def _discard(self, data: bytes, at: int) -> None:
        """Pass on the control frames, and forget the frames of messages."""
        end = len(data)
        skipped = min(self._unwanted, end - at)
        self._unwanted -= skipped
        at += skipped
        while end - at >= 2:
            opcode, length = data[at] & _OPCODE, data[at + 1] - _MASKED
            control = opcode not in _MESSAGES
            if length < 0 or opcode not in _OPCODES or (control and length >= _LENGTH_16):
                self._discards = False  # websockets fails the connection
                self._pass_on(data[at:])
                return
            body = at + 2 + _MASK
            if length >= _LENGTH_16:
                size = 2 if length == _LENGTH_16 else 8
                body += size
                if at + 2 + size > end:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + size], "big")
            stop = body + length
            if not control:
                self._unwanted = max(0, stop - end)
            elif stop > end:
                break
            else:
                self._pass_on(data[at:stop])
            at = min(stop, end)
        self._rest = data[at:]

    def release(self) -> None:
        """Release the callbacks and all bytes: nothing more is received."""
        self._receive_text = self._pass_on = _refuse
        self._rest = b""
        self.direct = False

    def _other_frame(self, data: bytes, at: int) -> int:
        """Pass on what has arrived of a frame that is not read here; return where the next one begins."""
        first, length = data[at], data[at + 1] - _MASKED
        opcode = first & _OPCODE
        if length < 0 or opcode not in _OPCODES:  # websockets fails the connection
            self.direct = False
            return at
        body = at + 2 + _MASK
        if length >= _LENGTH_16:
            size = 2 if length == _LENGTH_16 else 8
            body += size
            if at + 2 + size > len(data):
                return at
            length = int.from_bytes(data[at + 2 : at + 2 + size], "big")
        if opcode == _CONTINUATION:
            self._fragmented = not first & _FIN
        elif opcode in (_TEXT, _BINARY):
            self._fragmented = self._fragmented or not first & _FIN
        self._missing = body + length - at
        return self._pass_on_frame(data, at)

    def _pass_on_frame(self, data: bytes, at: int) -> int:
        """Pass on what has arrived of the bytes that are missing; return where the next frame begins."""
        stop = min(at + self._missing, len(data))
        self._missing -= stop - at
        if not self._pass_on(data[at:stop]):
            self.direct = False
        return stop


def _refuse(data: bytes) -> bool:
    return False
