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
    """Send a transcript and close with 1000."""
    connection.send(json.dumps(COMPLETED))


def refuse(connection: ServerConnection) -> None:
    """Refuse `model` beside the intent as the endpoint does: an error event, then CLOSE 4000."""
    connection.send(json.dumps(ERROR))
    connection.close(4000, "invalid_request_error.invalid_model")


def refuse_in_fragments(connection: ServerConnection) -> None:
    """Refuse, with the error event in fragments."""
    text = json.dumps(ERROR)
    connection.send([text[:20], text[20:40], text[40:]])
    connection.close(4000, "invalid_request_error.invalid_model")


def converse(connection: ServerConnection) -> None:
    """Hold a healthy conversation: an error of no consequence, audio, and a close."""
    connection.send(json.dumps({"type": "session.created", "session": {"type": "realtime"}}))
    error = {"type": "invalid_request_error", "code": "response_cancel_not_active", "message": "Cancellation failed"}
    connection.send(json.dumps({"type": "error", "error": error}))
    connection.send(json.dumps({"type": "response.output_audio.delta", "delta": "A" * 40_000}))
    connection.close(1001)


def end(code: int, reason: str = "") -> Behaviour:
    """Close without an error event."""
    return lambda connection: connection.close(code, reason)


def drop(connection: ServerConnection) -> None:
    """Drop the connection without a CLOSE frame."""
    connection.socket.shutdown(socket.SHUT_RDWR)


class Endpoint:
    """The port of a server, and the request targets that it received."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.targets: list[str] = []

    def url(self, query: str = "intent=transcription&model=whisper-1", path: str = "/v1/realtime") -> str:
        return f"ws://127.0.0.1:{self.port}{path}?{query}"


@contextmanager
def serving(behaviour: Behaviour, status: int = 101, **options: Any) -> Iterator[Endpoint]:
    """Serve on loopback until every behaviour has ended; a `status` other than 101 answers every handshake."""
    handlers: list[threading.Thread] = []

    def process_request(connection: ServerConnection, request: Any) -> Any:
        handlers.append(threading.current_thread())  # here, because the client knows of the connection only after this
        endpoint.targets.append(request.path)
        if status == 101:
            return None
        response = connection.respond(http.HTTPStatus(status), "no\n")
        del response.headers["Date"]  # two answers are to be the same, whatever the second
        return response

    options = {"process_request": process_request, "close_timeout": 60, **options}
    with serve(behaviour, "127.0.0.1", 0, **options) as server:
        endpoint = Endpoint(server.socket.getsockname()[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield endpoint
        finally:
            for handler in handlers:  # a closed client does not mean that the behaviour has read all of its messages
                handler.join(60)
            server.shutdown()
            thread.join()


@contextmanager
def listening(
    answer: bytes | None, accepted: threading.Semaphore | None = None, release: threading.Event | None = None
) -> Iterator[int]:
    """Serve these bytes to every connection, once released; with None accept connections and send nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_: list[socket.socket] = []

        def work() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    if accepted:
                        accepted.release()
                    open_.append(connection)
                    if answer is None:
                        continue
                    with suppress(OSError):  # of a client that is gone, which has to keep no other waiting
                        connection.recv(65536)
                        if release:
                            release.wait(60)
                        connection.sendall(answer)
                        # To close it with bytes of the client unread would be a reset, which may overtake the answer.
                        connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in open_:
                connection.close()
