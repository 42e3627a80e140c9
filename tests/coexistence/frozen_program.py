"""An application to freeze: it connects with each client it has and prints the first event's type or the error's code.

frozen_program.py URL KEY
"""

from __future__ import annotations

import json
import sys

import rtstt_shim

try:
    import websockets.sync.client as websockets_client
except ImportError:
    websockets_client = None  # type: ignore[assignment]
import websocket


def outcome(text: str | bytes) -> str:
    event = json.loads(text)
    return str(event["error"]["code"] if event["type"] == "error" else event["type"])


def main() -> None:
    url, key = sys.argv[1:]
    url += "?intent=transcription&model=whisper-1"
    outcomes = []
    connection = websocket.create_connection(url, header={"Authorization": f"Bearer {key}"})
    outcomes.append(outcome(connection.recv()))
    if key == "sk-bad":
        connection.recv()  # the CLOSE frame
    connection.close()
    if websockets_client is not None:
        with websockets_client.connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as client:
            outcomes.append(outcome(client.recv()))
    print(json.dumps(outcomes))
    print({row.name: row.state for row in rtstt_shim.status().targets if row.version})


main()
