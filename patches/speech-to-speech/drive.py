"""Transcribes one utterance with the package's own URL and protocol: ``drive.py BASE_URL``."""

import json
import math
import struct
import sys

from speech_to_speech.STT.streaming_handler import OpenAIRealtimeProtocol, _endpoint_url
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

RATE = 24000
protocol = OpenAIRealtimeProtocol(model="gpt-4o-mini-transcribe", language="en", audio_sample_rate=RATE)
url = _endpoint_url(sys.argv[1], protocol.model, include_model_query=True)
seen = {"events": {}, "transcript": None, "errors": []}
audio = struct.pack(f"<{RATE}h", *(int(9000 * math.sin(2 * math.pi * 180 * i / RATE)) for i in range(RATE)))
try:
    with connect(url, additional_headers={"Authorization": "Bearer sk-made-up"}) as socket:
        for event in (protocol.session_update(), protocol.append_audio(audio), protocol.finish_utterance()):
            socket.send(json.dumps(event))
        while seen["transcript"] is None:
            parsed = protocol.parse_event(json.loads(socket.recv(timeout=15)))
            seen["events"][parsed.kind] = seen["events"].get(parsed.kind, 0) + 1
            if parsed.kind == "completed":
                seen["transcript"] = parsed.text
except ConnectionClosed as error:
    seen["errors"].append({"name": type(error).__name__, "retryable": None})
print(f"\nRESULT {json.dumps(seen)}", flush=True)
