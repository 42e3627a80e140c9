"""One page on a loopback port, until the process is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

__all__ = ["serve_page"]

_HOST = "127.0.0.1"
_HOSTS = (_HOST, "localhost")


def serve_page(page: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve a page until SIGINT or SIGTERM.

    Args:
        page: The document, with a Content-Security-Policy of its own.
        port: The port, 0 for any free one.
        announce: Called with the address of the page, once it can be opened.

    Raises:
        OSError: The port cannot be listened on.
        OverflowError: There is no such port.
    """
    body = page.encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30  # seconds that a connection may be idle

        def do_GET(self) -> None:
            # The name that a page of another site was rebound to is refused.
            if (self.headers.get("Host") or "").rpartition(":")[0] not in _HOSTS:
                self._answer(403, b"This page is served under 127.0.0.1 alone.\n", "text/plain; charset=utf-8")
            elif self.path.partition("?")[0] != "/":
                self._answer(404, b"The page is at /.\n", "text/plain; charset=utf-8")
            else:
                self._answer(200, body, "text/html; charset=utf-8")

        do_HEAD = do_GET

        def _answer(self, status: int, content: bytes, type_: str) -> None:
            self.send_response(status)
            for name, value in (
                ("Content-Type", type_),
                ("Content-Length", str(len(content))),
                ("Content-Security-Policy", "frame-ancestors 'none'"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Cache-Control", "no-store"),
            ):
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing."""

    with _Server((_HOST, port), Handler) as server:
        interrupted = threading.Event()

        def interrupt(number: int, frame: FrameType | None) -> None:
            interrupted.set()

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        thread = threading.Thread(target=server.serve_forever, name="rtstt-inspect", daemon=True)
        thread.start()
        try:
            announce(f"http://{_HOST}:{server.server_address[1]}/")
            interrupted.wait()
        finally:
            server.shutdown()
            thread.join()
            for number, handler in before.items():
                signal.signal(number, handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Write nothing: a browser may end a connection at any time."""
