"""Read the messages of a WebSocket from the bytes that are passed on, and write them to a recording.

websockets' `Protocol` parses each direction; what it would answer is discarded, since the two peers answer each other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from websockets.exceptions import InvalidHeader
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.headers import parse_extension
from websockets.protocol import Protocol, Side, State

from rtstt_testkit.cassette.lines import SessionLines
from rtstt_testkit.mock.protocol.events import Sender

__all__ = ["Tap"]

_quiet = logging.getLogger("rtstt_testkit.recording.websockets")
_quiet.setLevel(logging.CRITICAL + 1)


class Tap:
    """The messages of one WebSocket.

    Args:
        lines: Where they are written.
        clock: Returns the seconds since the connection opened.
        extensions: The ``Sec-WebSocket-Extensions`` of the server's response.
        fail: Called with the reason why the recording is not complete.
    """

    def __init__(
        self, lines: SessionLines, clock: Callable[[], float], extensions: str, fail: Callable[[str], None]
    ) -> None:
        self._fail = fail
        self._failed = False
        self._lines = lines
        self._clock = clock
        self._directions: dict[Sender, _Direction] = {
            "client": _Direction(Side.SERVER, extensions),
            "server": _Direction(Side.CLIENT, extensions),
        }

    def receive(self, sender: Sender, data: bytes) -> None:
        """Read the messages in bytes.

        Args:
            sender: Who sent them.
            data: The bytes.
        """
        if self._failed:
            return
        try:
            self._receive(sender, data)
        except Exception as error:  # the two peers must not notice
            self._failed = True
            self._fail(f"a message of the {sender} could not be read: {type(error).__name__}: {error}")

    def _receive(self, sender: Sender, data: bytes) -> None:
        direction = self._directions[sender]
        at = self._clock()
        for opcode, payload in direction.receive(data):
            if opcode is Opcode.TEXT:
                self._lines.text(sender, payload, at)
            elif opcode is Opcode.BINARY:
                self._lines.binary(sender, len(payload), at)
        if direction.closed is not None:
            code, reason = direction.closed
            self._lines.closed(code, reason, sender, at)

    def lost(self, sender: Sender) -> None:
        """Write that the connection ended, unless a CLOSE frame came before.

        Args:
            sender: Who ended it.
        """
        self._lines.closed(1006, "", sender, self._clock())


class _Direction:
    """The frames that one peer sends.

    Attributes:
        closed: The code and the reason of its CLOSE frame.
    """

    def __init__(self, side: Side, extensions: str) -> None:
        self._protocol = Protocol(side, state=State.OPEN, max_size=None, logger=_quiet)
        self._protocol.extensions = _extensions(extensions, side)
        self._opcode = Opcode.TEXT
        self._fragments: list[bytes] = []
        self.closed: tuple[int, str] | None = None

    def receive(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """Return the messages that are complete."""
        protocol = self._protocol
        protocol.receive_data(data)
        protocol.data_to_send()
        messages = []
        for frame in protocol.events_received():
            if not isinstance(frame, Frame) or frame.opcode in (Opcode.PING, Opcode.PONG):
                continue
            if frame.opcode is Opcode.CLOSE:
                close = protocol.close_rcvd
                self.closed = (1005, "") if close is None else (int(close.code), close.reason)
                continue
            if frame.opcode is not Opcode.CONT:
                self._opcode = frame.opcode
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                messages.append((self._opcode, b"".join(self._fragments)))
                self._fragments = []
        return messages


def _extensions(header: str, side: Side) -> list[Extension]:
    """Return the extensions that a response names, as the receiver of a direction applies them."""
    try:
        accepted = parse_extension(header) if header else []
    except InvalidHeader:  # the client refuses it
        return []
    found: list[Extension] = []
    for name, parameters in accepted:
        if name == "permessage-deflate":
            options = dict(parameters)
            of_client = "client_no_context_takeover" in options, int(options.get("client_max_window_bits") or 15)
            of_server = "server_no_context_takeover" in options, int(options.get("server_max_window_bits") or 15)
            (remote, remote_bits), (local, local_bits) = (
                (of_client, of_server) if side is Side.SERVER else (of_server, of_client)
            )
            found.append(PerMessageDeflate(remote, local, remote_bits, local_bits))
    return found
