"""A server that costs next to nothing: the frame it echoes and the deltas it streams are made in advance."""

import json
import socket
import struct
import sys
import threading
from base64 import b64encode
from hashlib import sha1

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
EVENTS = 64


def frame(payload):
    size = len(payload)
    head = bytes([0x81, size]) if size < 126 else bytes([0x81, 126]) + struct.pack("!H", size)
    return head + payload


def deltas():
    for number in range(EVENTS):
        event = {
            "type": "conversation.item.input_audio_transcription.delta",
            "event_id": f"event_{number:021}",
            "item_id": "item_" + "x" * 21,
            "content_index": 0,
            "delta": f" word{number}",
            "obfuscation": "o" * (number % 16),
        }
        yield frame(json.dumps(event, separators=(",", ":")).encode())


STREAM = b"".join(deltas())


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
    raw.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    if path.startswith("/echo"):
        echo(raw, file)
    else:
        while True:
            opcode, payload = read_frame(file)
            if opcode != 1:
                return
            whole, rest = divmod(int(payload), EVENTS)
            assert rest == 0, "a multiple of the events"
            for _ in range(whole):
                raw.sendall(STREAM)


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
