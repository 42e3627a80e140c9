"""The endpoint that is recorded: where it is, and how to connect to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rtstt_testkit.cassette.format import CassetteError

__all__ = ["Endpoint", "endpoint_at", "native_endpoint"]

_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)

_PATH = "/v1/realtime"
_EXAMPLE = "write it like ws://127.0.0.1:8765/v1/realtime or wss://host/v1/realtime"


@dataclass
class Endpoint:
    """An endpoint.

    Attributes:
        host: Its host name.
        port: Its port.
        tls: Whether it speaks TLS; its certificate is verified.
        path: The path of its realtime sockets.
        replaces_host: Whether the client connects to it under another name.
        addresses: Where to connect, in order; the host name is not resolved again, since it may be routed by then.
    """

    host: str
    port: int
    tls: bool
    path: str = _PATH
    replaces_host: bool = False
    addresses: list[tuple[int, str]] = field(default_factory=list)

    @property
    def netloc(self) -> str:
        """The value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Its WebSocket address."""
        return f"{'wss' if self.tls else 'ws'}://{self.netloc}{self.path}"

    def target(self, target: str) -> str:
        """Return a client's request target with the endpoint's path."""
        if self.path == _PATH or not target.startswith(_PATH):
            return target
        return self.path + target.removeprefix(_PATH)

    def resolve(self) -> None:
        """Find the addresses.

        Raises:
            CassetteError: The host name is not known.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise CassetteError(f"cannot resolve {self.host}: {error.strerror or error}") from None
        self.addresses = [(family, str(address[0])) for family, _, _, _, address in found]

    async def connect(self, protocol: Callable[[], _Protocol]) -> _Protocol:
        """Connect.

        Args:
            protocol: Returns the protocol of a connection.

        Raises:
            OSError: It cannot be reached, or its certificate cannot be verified.
        """
        error: OSError = OSError("it has no address")
        options: dict[str, Any] = {}
        if self.tls:
            options = {"ssl": ssl.create_default_context(), "server_hostname": self.host}
        loop = asyncio.get_running_loop()
        for family, address in self.addresses:
            try:
                return (await loop.create_connection(protocol, address, self.port, family=family, **options))[1]
            except ssl.SSLError:
                raise
            except OSError as failure:
                error = failure
        raise error


def native_endpoint(host: str) -> Endpoint:
    """Return the endpoint that a host name stands for: TLS on port 443."""
    return Endpoint(host, 443, True)


def endpoint_at(url: str) -> Endpoint:
    """Return the endpoint at a WebSocket address.

    Raises:
        CassetteError: It is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise CassetteError(f"{url} is not a WebSocket address; {_EXAMPLE}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.query or parts.username:
        raise CassetteError(f"{url.partition('?')[0]} is not a WebSocket address; {_EXAMPLE}")
    tls = parts.scheme == "wss"
    path = parts.path.rstrip("/") or _PATH
    return Endpoint(parts.hostname, port or (443 if tls else 80), tls, path, replaces_host=True)
