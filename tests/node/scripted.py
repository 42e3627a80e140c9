"""A server that sends exactly the bytes a test wants, whatever they do to a client."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

TEXT, CLOSE, PONG = 0x81, 0x88, 0x8A
PING = b"\x89\x00"


def frame(first: int, payload: bytes) -> bytes:
    """A frame of at most 65535 bytes."""
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    return bytes([first, 126]) + struct.pack("!H", len(payload)) + payload


def text(message: str) -> bytes:
    """A text message."""
    return frame(TEXT, message.encode())


def close(code: int, reason: str = "") -> bytes:
    """A CLOSE frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def http(status: str, body: str = "") -> bytes:
    """A response that refuses the handshake."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@contextmanager
def greeting(data: bytes) -> Iterator[int]:
    """Send every connection some bytes before it has asked for anything, and hang up."""

    def greet(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.sendall(data)
            _hang_up(client)

    with _listening(greet) as port:
        yield port


@contextmanager
def serving(*, answer: bytes | None = None, frames: Sequence[bytes] = (), end: str = "wait") -> Iterator[int]:
    """Serve every connection the same: an answer, or the handshake and these frames; then the end.

    Args:
        answer: What to send instead of accepting the handshake.
        frames: What to send after accepting it.
        end: ``"wait"`` for the client to hang up or to send its CLOSE frame (which is not answered), ``"hang up"``,
            or ``"reset"`` the connection once the client has read the frames.

    Yields:
        The port.
    """
    with _listening(lambda client: _serve(client, answer, frames, end)) as port:
        yield port


@contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve every connection in a thread of its own, until all of them have ended."""
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(client,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:  # the clients were other processes, which have ended
                thread.join(60)


def _serve(client: socket.socket, answer: bytes | None, frames: Sequence[bytes], end: str) -> None:
    with client:
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                part = client.recv(4096)
                if not part:
                    return
                request += part
            client.sendall(answer if answer is not None else _accepted(request))
            # At once: the preload waits half a second for the CLOSE frame that follows an error.
            client.sendall(b"".join(frames))
            if end == "wait":
                _until(client, CLOSE)
            elif end == "hang up":
                _hang_up(client)
            elif end == "reset":
                # A reset may overtake what was sent: it waits until the client has answered what comes last.
                client.sendall(PING)
                _until(client, PONG)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass


def _hang_up(client: socket.socket) -> None:
    """End the connection: closing it with the client's bytes unread would be a reset, which may overtake an answer."""
    client.shutdown(socket.SHUT_WR)
    while client.recv(4096):
        pass


def _until(client: socket.socket, last: int) -> None:
    """Read the client's frames, all of them masked, up to the first of a kind or to its end."""
    with client.makefile("rb") as stream:
        while len(head := stream.read(2)) == 2 and head[0] != last:
            length = head[1] & 0x7F
            if length >= 126:
                length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
            stream.read(4 + length)


def _accepted(request: bytes) -> bytes:
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    if key is None:
        return http("400 Bad Request")
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    protocol = re.search(rb"(?i)sec-websocket-protocol: *([^,\r]+)", request)
    chosen = f"Sec-WebSocket-Protocol: {protocol[1].decode()}\r\n" if protocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n{chosen}\r\n"
    ).encode()
