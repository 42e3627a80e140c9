"""Masked frames made in advance, and raw sockets to send them, so that the client is never the bottleneck."""

import base64
import contextlib
import json
import os
import selectors
import socket
import struct
import sys
import time
import zlib

import _env

PATH = "/v1/realtime?intent=transcription"
MODEL = "gpt-4o-mini-transcribe"
FRAME_MS = 50
FRAME_BYTES = 24000 * 2 * FRAME_MS // 1000
_MASK = b"\x5a\xc3\x17\x88"
_BLOCK = 64 * 1024
TIMEOUT = 60


def frame(payload, opcode=1, deflated=False):
    """Return a masked frame (RFC 6455 section 5)."""
    if deflated:  # permessage-deflate, RFC 7692 section 7.2.1
        packer = zlib.compressobj(wbits=-15)
        payload = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    size = len(payload)
    first = 0x80 | (0x40 if deflated else 0) | opcode
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    mask = int.from_bytes((_MASK * (size // 4 + 1))[:size], "big")
    masked = (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")
    return head + _MASK + masked


def speech():
    """Return about six seconds of speech and pauses: 16-bit mono PCM at 24 kHz."""
    sys.path.insert(0, str(_env.ROOT / "shim"))
    try:
        from rtstt_testkit.speech import load, silence
    finally:
        sys.path.pop(0)
    pcm = b""
    for name in ("hello", "weather"):
        pcm += load(name).pcm + silence(1.0)
    return pcm[: len(pcm) - len(pcm) % FRAME_BYTES]


def append_events(size=FRAME_BYTES):
    """Return `speech` as appends of 50 ms, or of that many bytes."""
    pcm = speech()
    return [append_event(pcm[at : at + size]) for at in range(0, len(pcm), size)]


def append_frames(size=FRAME_BYTES):
    """Return the same as frames."""
    return [frame(event) for event in append_events(size)]


def append_event(audio):
    """Return an append."""
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}).encode()


def update_event(**audio_input):
    """Return the first event of every session."""
    audio_input = {"transcription": {"model": MODEL}, **audio_input}
    session = {"type": "transcription", "audio": {"input": audio_input}}
    return json.dumps({"type": "session.update", "session": session}).encode()


def connect(port, *, path=PATH, deflate=False):
    """Open a WebSocket and return its blocking socket, with the response read and nothing after it."""
    raw = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extensions}"
        "Authorization: Bearer sk-of-the-benchmark\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1) or b"\r\n\r\n"
    if not head.startswith(b"HTTP/1.1 101 "):
        raise _env.SetupError(f"the server on port {port} refused the connection: {head[:60]!r}")
    if deflate and b"permessage-deflate" not in head:
        raise _env.SetupError(f"the server on port {port} does not compress")
    return raw


def open_session(port, **options):
    """Open a WebSocket and send the first event of a session; return its socket."""
    raw = connect(port, **options)
    raw.sendall(frame(update_event()))
    return raw


class Blaster:
    """Sends frames as fast as a server reads them; the answer to a PING shows that it has read them all.

    Each round opens its own connections: this client answers no PING, so the server would drop an idle one.

    Args:
        port: The server's.
        frames: What to send, repeatedly.
        sockets: The number of connections.
        options: Those of `connect`.
    """

    def __init__(self, port, frames, *, sockets=1, **options):
        self._port = port
        self._block = b"".join(frames)
        self._count = len(frames)
        self._sockets = sockets
        self._options = options

    def cpu_round(self, server, frames):
        """Send about that many frames; return the frames a second, and the server's CPU time for one in µs."""
        before = server.cpu()
        rate = self.round(frames)
        return rate, None if before is None else (server.cpu() - before) / frames * 1e6

    def round(self, frames):
        """Send about that many frames on all connections together; return the frames a second."""
        turns = max(1, round(frames / self._sockets / self._count))
        word = os.urandom(8)
        whole = memoryview(self._block * turns + frame(word, 9))
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            sockets = [stack.enter_context(open_session(self._port, **self._options)) for _ in range(self._sockets)]
            for raw in sockets:
                raw.setblocking(False)
                selector.register(raw, selectors.EVENT_READ | selectors.EVENT_WRITE)
            begun = time.perf_counter()
            _send(selector, whole, word, sockets)
            return turns * self._count * len(sockets) / (time.perf_counter() - begun)


def _send(selector, whole, word, sockets):
    """Send everything on each socket, until each has answered the PING with the word."""
    left = dict.fromkeys(sockets, 0)
    waiting = dict.fromkeys(sockets, b"")
    while waiting:
        ready = selector.select(TIMEOUT)
        if not ready:
            raise _env.SetupError("the server stopped reading")
        for key, events in ready:
            raw = key.fileobj
            if events & selectors.EVENT_READ:
                data = raw.recv(_BLOCK)
                if not data:
                    raise _env.SetupError("the server closed the connection")
                seen = waiting[raw] + data
                if word in seen:
                    del waiting[raw]
                    selector.unregister(raw)
                    continue
                waiting[raw] = seen[-16:]
            if events & selectors.EVENT_WRITE:
                at = left[raw]
                left[raw] = at + raw.send(whole[at : at + 4 * _BLOCK])
                if left[raw] == len(whole):
                    selector.modify(raw, selectors.EVENT_READ)
