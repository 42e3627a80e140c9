"""Transcribe an utterance with `speech-to-speech` and its streaming recognizer's URL, connection and protocol."""

from __future__ import annotations

import json
from argparse import Namespace

from talk import KEY, MODEL, RATE, SECONDS, Outcome, arguments, chunks, run


def stream(args: Namespace, outcome: Outcome) -> None:
    from speech_to_speech.STT.streaming_handler import OpenAIRealtimeProtocol, _default_connect, _endpoint_url
    from websockets.exceptions import ConnectionClosed

    protocol = OpenAIRealtimeProtocol(model=MODEL, language="en", audio_sample_rate=RATE)
    url = _endpoint_url(args.base_url, MODEL, include_model_query=True)
    socket = _default_connect(url, headers={"Authorization": f"Bearer {KEY}"}, open_timeout=SECONDS)
    try:
        socket.send(json.dumps(protocol.session_update()))
        for chunk in chunks(args):
            socket.send(json.dumps(protocol.append_audio(chunk)))
        socket.send(json.dumps(protocol.finish_utterance()))
    except ConnectionClosed:  # the answer has the reason
        pass
    try:
        while outcome.transcript is None:
            event = json.loads(socket.recv(timeout=SECONDS))
            parsed = protocol.parse_event(event)
            if parsed.kind == "error":
                outcome.error = event["error"]["code"]
            elif parsed.kind == "delta":
                outcome.events["INTERIM_TRANSCRIPT"] += 1
            elif parsed.kind == "completed":
                outcome.transcript = parsed.text
    finally:
        socket.close()


if __name__ == "__main__":
    run(arguments(__doc__ or ""), "speech-to-speech", stream)
