"""The libraries whose sockets the shim corrects and watches: a table, and what its rows share.

Every affected client (openai, LiteLLM, LiveKit, pipecat, openai-agents, applications) opens its socket with
one of these three libraries, so these are all there is to patch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, Protocol

__all__ = ["TARGETS", "Parameter", "ShapeError", "Target", "Wrap", "numbers", "require_method", "require_parameter"]


class Target(NamedTuple):
    """One library, or one of several clients in it.

    Attributes:
        name: What `status()` calls it.
        library: Its name on PyPI.
        module: The module whose import triggers the patch.
        oldest: The oldest version it was tested with.
        below: The first version it was not tested with.
        patch: The module here that patches it: its ``patch(module, wrap, connection)``.
    """

    name: str
    library: str
    module: str
    oldest: tuple[int, ...]
    below: tuple[int, ...]
    patch: str

    def tested_with(self, version: str) -> bool:
        """Whether a version of the library is one the shim was tested with."""
        return self.oldest <= numbers(version) < self.below


TARGETS = (
    Target("websockets", "websockets", "websockets.client", (13, 1), (18,), "websockets_sansio"),
    Target("websockets.asyncio", "websockets", "websockets.asyncio.client", (13, 1), (18,), "websockets_asyncio"),
    Target("websockets.sync", "websockets", "websockets.sync.client", (13, 1), (18,), "websockets_sync"),
    Target("websockets.trio", "websockets", "websockets.trio.client", (17,), (18,), "websockets_trio"),
    Target("websockets.legacy", "websockets", "websockets.legacy.client", (13, 1), (18,), "websockets_legacy"),
    Target("aiohttp", "aiohttp", "aiohttp.client", (3, 9), (4,), "aiohttp_client"),
    Target("websocket-client", "websocket-client", "websocket._core", (1, 6), (2,), "websocket_client"),
)


def numbers(version: str) -> tuple[int, ...]:
    """The release numbers of a version, to compare; empty where it begins with none."""
    match = re.match(r"\d{1,18}(?:\.\d{1,18})*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


class ShapeError(Exception):
    """What is to be patched does not look as it did in the tested versions; the sentence says what is missing."""


class Wrap(Protocol):
    """Wraps one function of a patched module, undone by ``uninstall()``."""

    def __call__(self, owner: ModuleType, name: str, wrapper: Callable[..., Any]) -> None:
        """Wrap `owner`'s attribute at the dotted path `name`; raise `ShapeError` where there is none."""


class Parameter(NamedTuple):
    """One parameter of a wrapped method: callers pass it by position or by name."""

    position: int
    name: str

    def get(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The argument a caller passed for it; raises `LookupError` where there is none."""
        return kwargs[self.name] if self.name in kwargs else args[self.position]

    def put(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The caller's arguments with another value for it."""
        if self.name in kwargs:
            return args, {**kwargs, self.name: value}
        return (*args[: self.position], value, *args[self.position + 1 :]), kwargs


def require_parameter(function: Any, *names: str) -> Parameter:
    """Find the parameter of a method that is of interest.

    Args:
        function: The method, not bound.
        names: The names the parameter had in the tested versions.

    Raises:
        ShapeError: It has no such parameter.
    """
    for position, name in enumerate(inspect.signature(function).parameters):
        if name in names:
            return Parameter(position - 1, name)
    raise ShapeError(f"{function.__qualname__} has no parameter {' or '.join(names)}")


def require_method(owner: Any, path: str) -> Any:
    """Find a class's method, or a module's class.

    Args:
        owner: The module or class.
        path: The dotted path from there.

    Raises:
        ShapeError: There is no such thing.
    """
    found = owner
    for name in path.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        raise ShapeError(f"{owner.__name__} has no {path}")
    return found
