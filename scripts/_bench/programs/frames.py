"""A server that costs next to nothing: the frame it echoes and the events it streams are made in advance."""

import json
import socket
import struct
import sys
import threading
import zlib
from base64 import b64encode
from hashlib import sha1

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
EVENTS = 64


def frame(payload, first=0x81):
    size = len(payload)
    head = bytes([first, size]) if size < 126 else bytes([first, 126]) + struct.pack("!H", size)
    return head + payload


def packed(payload):
    """Return a compressed frame (RFC 7692) that can be sent again: it refers to nothing before it."""
    packer = zlib.compressobj(wbits=-15)
    return frame((packer.compress(payload) + packer.flush(zlib.Z_FULL_FLUSH))[:-4], 0xC1)


def stream(make, make_frame=frame):
    """Return frames of events; `make` returns the fields of one, by its number."""
    return b"".join(
        make_frame(json.dumps(make(f"event_{number:021}", number), separators=(",", ":")).encode())
        for number in range(EVENTS)
    )


def delta(event_id, number):
    return {
        "type": "conversation.item.input_audio_transcription.delta",
        "event_id": event_id,
        "item_id": "item_" + "x" * 21,
        "content_index": 0,
        "delta": f" word{number}",
        "obfuscation": "o" * (number % 16),
    }


def error(event_id, number):
    return {
        "type": "error",
        "event_id": event_id,
        "error": {
            "type": "invalid_request_error",
            "code": "input_audio_buffer_commit_empty",
            "message": "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but "
            f"buffer only has {number % 8}.00ms of audio.",
            "param": None,
            "event_id": None,
        },
    }


def audio(event_id, number):
    return {
        "type": "response.output_audio.delta",
        "event_id": event_id,
        "response_id": "resp_" + "x" * 21,
        "item_id": "item_" + "x" * 21,
        "output_index": 0,
        "content_index": 0,
        "delta": "".join(chr(65 + (number + place) % 26) for place in range(32 * 1024)),
    }


def events_of(path):
    if "sends=errors" in path:
        return stream(error)
    if "packed=" in path:
        return stream(delta, packed)
    return stream(audio if "model=" in path else delta)


def read_frame(file):
    """Read a masked frame; return its opcode and payload."""
    first, size = file.read(2)
    size &= 0x7F
    if size == 126:
        [size] = struct.unpack("!H", file.read(2))
    mask, payload = file.read(4), file.read(size)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def serve(raw):
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = raw.makefile("rb")
    path = file.readline().split()[1].decode()
    key = ""
    while line := file.readline().strip():
        name, _, value = line.decode().partition(":")
        if name.lower() == "sec-websocket-key":
            key = value.strip()
    accept = b64encode(sha1((key + GUID).encode()).digest()).decode()
    # The client compresses nothing that is shorter than its threshold.
    agreed = "permessage-deflate; client_no_context_takeover"
    extensions = f"Sec-WebSocket-Extensions: {agreed}\r\n" if "packed=" in path else ""
    raw.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{extensions}\r\n".encode()
    )
    if path.startswith("/echo"):
        echo(raw, file)
    else:
        events = events_of(path)
        while True:
            opcode, payload = read_frame(file)
            if opcode != 1:
                return
            whole, rest = divmod(int(payload), EVENTS)
            assert rest == 0, "a multiple of the events"
            for _ in range(whole):
                raw.sendall(events)


def echo(raw, file):
    """Echo the first message whenever as many bytes have come again."""
    opcode, payload = read_frame(file)
    if opcode != 1:
        return
    reply = frame(payload)
    size = len(reply) + 4
    raw.sendall(reply)
    rest = 0
    while data := file.read1(1 << 20):
        if len(data) < size and data[0] == 0x88:
            return
        count, rest = divmod(rest + len(data), size)
        raw.sendall(reply * count)


def run(raw):
    try:
        serve(raw)
    except (OSError, ValueError):
        pass
    finally:
        raw.close()


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(f"listening on ws://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=run, args=(raw,), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
