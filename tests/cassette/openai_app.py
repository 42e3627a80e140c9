"""A client on the openai SDK that knows OpenAI's address alone: it commits a second of audio, prints the transcript.

python openai_app.py KEY CHUNK_MS MODEL
"""

from __future__ import annotations

import base64
import sys
from typing import Any

from openai import OpenAI

AUDIO = b"\x00\x40\x00\xc0" * 12_000


def main(key: str, chunk_ms: str, model: str) -> None:
    size = 48 * int(chunk_ms)
    audio: Any = {"input": {"transcription": {"model": model}, "turn_detection": None}}
    with OpenAI(api_key=key).realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session={"type": "transcription", "audio": audio})
        for start in range(0, len(AUDIO), size):
            connection.input_audio_buffer.append(audio=base64.b64encode(AUDIO[start : start + size]).decode())
        connection.input_audio_buffer.commit()
        for event in connection:
            if event.type.endswith(".completed"):
                print(getattr(event, "transcript", ""))
                return
            if event.type == "error":
                print(event.error.message)
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
