"""The patches in a client's process: routed names resolve to the relay, and TLS contexts trust the relay's CA.

`PATCHES` lists everything that is patched. Most clients use the standard library's resolver and TLS contexts. The other
entries are libraries that resolve names or choose the port themselves; they are patched when they are imported.
"""

from __future__ import annotations

import functools
import importlib
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from rtstt_testkit.routing.environment import Address, canonical

__all__ = ["Layer", "patched", "push"]


class Layer(NamedTuple):
    """Routes that are applied together."""

    addresses: Mapping[str, Address]
    """Where to connect, by host name in canonical form."""

    ca_pem: str
    """The CA certificate (PEM) that signs the certificates of these names."""


_layers: list[Layer] = []
_lock = threading.RLock()


def _find(host: object) -> tuple[Address, str] | None:
    """Return the address and the CA for a host name; None if it is not routed."""
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str):
        return None
    try:
        name = canonical(host)
    except ValueError:
        return None
    for layer in reversed(_layers):
        if name in layer.addresses:
            return layer.addresses[name], layer.ca_pem
    return None


def _argument(name: str, position: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return kwargs.get(name, args[position] if len(args) > position else None)


def _getaddrinfo(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        found = _find(host)
        if found is None:
            return original(host, *args, **kwargs)
        # The relay has one address, whatever the family requested.
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", found[0])]

    return getaddrinfo


def _trusting(position: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a wrapper for a method of `ssl.SSLContext` that trusts the relay.

    Args:
        position: The position of the method's ``server_hostname``.
    """

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            found = _find(_argument("server_hostname", position, args, kwargs))
            if found is not None:
                self.load_verify_locations(cadata=found[1])
            return original(self, *args, **kwargs)

        return method

    return wrap


def _uvloop_create_connection(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def create_connection(
        self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **kwargs: Any
    ) -> Any:
        found = _find(host)
        if found is not None:
            if kwargs.get("ssl") and kwargs.get("server_hostname") is None:
                kwargs["server_hostname"] = host
            kwargs.pop("family", None)
            host, port = found[0]
        return await original(self, protocol_factory, host, port, **kwargs)

    return create_connection


def _uvloop_getaddrinfo(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def getaddrinfo(self: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        if _find(host) is None:
            return await original(self, host, port, **kwargs)
        return socket.getaddrinfo(host, port)

    return getaddrinfo


def _aiohttp_resolve(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def resolve(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        found = _find(host)
        if found is None:
            return await original(self, host, *args, **kwargs)
        address, port = found[0]
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": flags,
            }
        ]

    return resolve


def _anyio_connect_tcp(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def connect_tcp(remote_host: Any, remote_port: int, **kwargs: Any) -> Any:
        found = _find(remote_host)
        if found is not None:
            if (kwargs.get("tls") or kwargs.get("ssl_context")) and not kwargs.get("tls_hostname"):
                kwargs["tls_hostname"] = remote_host
            remote_host, remote_port = found[0]
        return await original(remote_host, remote_port, **kwargs)

    return connect_tcp


class _Patch(NamedTuple):
    module: str
    owner: str | None
    """The class in the module; None for the module itself."""
    attribute: str
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]]


PATCHES = (
    _Patch("socket", None, "getaddrinfo", _getaddrinfo),
    _Patch("ssl", "SSLContext", "wrap_socket", _trusting(4)),
    _Patch("ssl", "SSLContext", "wrap_bio", _trusting(3)),
    # uvloop resolves in C. Its loop is a Python subclass of a class in C, so methods can be added.
    _Patch("uvloop", "Loop", "create_connection", _uvloop_create_connection),
    _Patch("uvloop", "Loop", "getaddrinfo", _uvloop_getaddrinfo),
    # With aiodns installed, aiohttp does not use the operating system's resolver.
    _Patch("aiohttp.resolver", "AsyncResolver", "resolve", _aiohttp_resolve),
    # anyio (used by httpx, and so by the openai SDK over HTTP) uses the resolver's address, but not its port.
    _Patch("anyio", None, "connect_tcp", _anyio_connect_tcp),
)

_applied: dict[_Patch, Callable[[], None]] = {}
_awaited: set[_Patch] = set()


def _apply(patch: _Patch) -> None:
    module = sys.modules[patch.module]
    owner: Any = getattr(module, patch.owner, None) if patch.owner else module
    original = getattr(owner, patch.attribute, None)
    if original is None:  # this release of the library does not have it
        return
    inherited = patch.attribute not in vars(owner)
    replacement = patch.wrap(original)

    def undo() -> None:
        # If another tool has wrapped the replacement, it stays and passes every call on.
        if vars(owner).get(patch.attribute) is replacement:
            if inherited:
                delattr(owner, patch.attribute)
            else:
                setattr(owner, patch.attribute, original)

    setattr(owner, patch.attribute, replacement)
    _applied[patch] = undo


def _on_import(patch: _Patch, _module: object) -> None:
    with _lock:
        if _layers and patch not in _applied:
            _apply(patch)


def push(layer: Layer) -> None:
    """Apply routes; they take precedence over earlier ones."""
    import wrapt

    with _lock:
        _layers.append(layer)
        for patch in PATCHES:
            if patch in _applied:
                continue
            if patch.module in {"socket", "ssl"}:
                importlib.import_module(patch.module)
            if patch.module in sys.modules:
                _apply(patch)
            elif patch not in _awaited:
                _awaited.add(patch)
                wrapt.register_post_import_hook(functools.partial(_on_import, patch), patch.module)


def _drop(layer: Layer) -> None:
    with _lock:
        _layers.remove(layer)
        if not _layers:
            while _applied:
                _applied.popitem()[1]()


@contextmanager
def patched(layer: Layer) -> Iterator[None]:
    """Apply routes while the context is open."""
    push(layer)
    try:
        yield
    finally:
        _drop(layer)
