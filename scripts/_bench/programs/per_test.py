"""The time of a test with its own server, in milliseconds: `per_test.py ROUNDS`."""

import asyncio
import base64
import json
import sys
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from rtstt_testkit import RealtimeServer, speech

KEY = {"Authorization": "Bearer sk-of-the-benchmark"}
UPDATE = json.dumps(
    {
        "type": "session.update",
        "session": {
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
        },
    }
)
HELLO = speech.load("hello")
APPEND = json.dumps(
    {
        "type": "input_audio_buffer.append",
        "audio": base64.b64encode(HELLO.pcm + speech.silence(0.5)).decode(),
    }
)


async def ours():
    async with RealtimeServer() as server:
        url = f"{server.url}?intent=transcription"
        async with connect(url, additional_headers=KEY, compression=None, proxy=None) as client:
            await client.send(UPDATE)
            await client.send(APPEND)
            while True:
                event = json.loads(await client.recv())
                if event["type"].endswith("transcription.completed"):
                    assert event["transcript"] == HELLO.text
                    break


async def echo(connection):
    await connection.send(await connection.recv())


async def peer():
    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", compression=None, proxy=None) as client:
            await client.send("hello")
            await client.recv()


def main(rounds):
    took = {"ours": [], "peer": []}
    for number in range(rounds + 2):
        for name, work in (("ours", ours), ("peer", peer)):
            begun = time.perf_counter()
            asyncio.run(work())
            if number >= 2:
                took[name].append((time.perf_counter() - begun) * 1000)
    print(json.dumps(took))


if __name__ == "__main__":
    main(int(sys.argv[1]))
