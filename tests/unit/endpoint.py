"""A WebSocket endpoint for the tests of the patches: each connection gets the behaviour the test asks for."""

from __future__ import annotations

import http
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.sync.server import ServerConnection, serve

Behaviour = Callable[[ServerConnection], None]

ERROR = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "code": "invalid_model",
        "message": 'Model "whisper-1" is not supported in transcription mode.',
    },
}
COMPLETED = {"type": "conversation.item.input_audio_transcription.completed", "transcript": "hello"}


def transcribe(connection: ServerConnection) -> None:
    """A session that goes well, and ends with 1000."""
    connection.send(json.dumps(COMPLETED))


def refuse(connection: ServerConnection) -> None:
    """What the endpoint does with `model` beside the intent: an error event, then CLOSE 4000."""
    connection.send(json.dumps(ERROR))
    connection.close(4000, "invalid_request_error.invalid_model")


def refuse_in_fragments(connection: ServerConnection) -> None:
    """The same, the error event cut into frames."""
    text = json.dumps(ERROR)
    connection.send([text[:20], text[20:40], text[40:]])
    connection.close(4000, "invalid_request_error.invalid_model")


def end(code: int, reason: str = "") -> Behaviour:
    """A close without an error event."""
    return lambda connection: connection.close(code, reason)


def drop(connection: ServerConnection) -> None:
    """A connection that is cut: it ends, and no CLOSE frame came."""
    connection.socket.shutdown(socket.SHUT_RDWR)


class Endpoint:
    """Where it listens, and the request targets it saw."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.targets: list[str] = []

    def url(self, query: str = "intent=transcription&model=whisper-1", path: str = "/v1/realtime") -> str:
        return f"ws://127.0.0.1:{self.port}{path}?{query}"


@contextmanager
def serving(behaviour: Behaviour, status: int = 101, **options: Any) -> Iterator[Endpoint]:
    """Serve on loopback; with a `status` other than 101 every handshake is answered with that."""

    def process_request(connection: ServerConnection, request: Any) -> Any:
        endpoint.targets.append(request.path)
        return None if status == 101 else connection.respond(http.HTTPStatus(status), "no\n")

    options = {"process_request": process_request, "close_timeout": 0.3, **options}
    with serve(behaviour, "127.0.0.1", 0, **options) as server:
        endpoint = Endpoint(server.socket.getsockname()[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield endpoint
        server.shutdown()
        thread.join()


@contextmanager
def listening(
    answer: bytes | None, accepted: threading.Semaphore | None = None, release: threading.Event | None = None
) -> Iterator[int]:
    """A server that answers whoever connects with these bytes, once released; with None it accepts and is silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_: list[socket.socket] = []

        def work() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    if accepted:
                        accepted.release()
                    if answer is None:
                        open_.append(connection)
                        continue
                    with connection:
                        connection.recv(65536)
                        if release:
                            release.wait(10)
                        connection.sendall(answer)

        thread = threading.Thread(target=work)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in open_:
            connection.close()
