"""A client on websockets that knows OpenAI's address alone: it commits one second of audio and prints the transcript.

python cassette_app.py [KEY [CHUNK_MS [MODEL [URL]]]]
"""

from __future__ import annotations

import base64
import json
import sys

from websockets.sync.client import connect

AUDIO = b"\x00\x40\x00\xc0" * 12_000
URL = "wss://api.openai.com/v1/realtime?intent=transcription"


def main(
    key: str = "sk-testing-0123456789", chunk_ms: str = "100", model: str = "gpt-4o-transcribe", url: str = URL
) -> None:
    size = 48 * int(chunk_ms)
    headers = {"Authorization": f"Bearer {key}"}
    with connect(url, additional_headers=headers, proxy=None, open_timeout=60, close_timeout=60) as connection:
        json.loads(connection.recv())
        audio = {"input": {"transcription": {"model": model}, "turn_detection": None}}
        update = {"type": "session.update", "session": {"type": "transcription", "audio": audio}}
        connection.send(json.dumps({**update, "event_id": f"of-{key[-6:]}"}))
        while json.loads(connection.recv())["type"] != "session.updated":
            pass
        for start in range(0, len(AUDIO), size):
            chunk = base64.b64encode(AUDIO[start : start + size]).decode()
            connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": chunk}))
        connection.send(json.dumps({"type": "input_audio_buffer.commit"}))
        for message in connection:
            event = json.loads(message)
            if event["type"].endswith(".completed"):
                print(event["transcript"])
                return
            if event["type"].endswith(".failed"):
                print(event["error"]["code"])
                return
            if event["type"] == "error":
                print(event["error"]["message"])
        print(f"closed {connection.close_code} {connection.close_reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
