"""The table of client libraries that are patched, and the gates that a patch goes through.

Every affected client (openai, LiteLLM, LiveKit, pipecat, openai-agents, applications) opens its WebSocket with one of
these three libraries, so these are all there is to patch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = [
    "TARGETS",
    "Parameter",
    "ShapeError",
    "Target",
    "numbers",
    "require_attributes",
    "require_callable",
    "require_parameter",
]


class Target(NamedTuple):
    """One client of a library.

    Attributes:
        name: The name that `status()` shows.
        library: The library's name on PyPI.
        module: The module whose import triggers the patch.
        oldest: The oldest version that is tested.
        below: The next release that was not tested, which is the first one left unpatched.
        patch: The module in this package whose ``patch(module, context)`` patches it.
    """

    name: str
    library: str
    module: str
    oldest: tuple[int, ...]
    below: tuple[int, ...]
    patch: str

    def tested_with(self, version: str) -> bool:
        """Return whether the shim is tested with a version of the library."""
        return self.oldest <= numbers(version) < self.below


# `below` is the next minor release after the newest one that the tests run.
TARGETS = (
    Target("websockets", "websockets", "websockets.client", (13, 1), (17, 5), "websockets_sansio"),
    Target("websockets.asyncio", "websockets", "websockets.asyncio.client", (13, 1), (17, 5), "websockets_asyncio"),
    Target("websockets.sync", "websockets", "websockets.sync.client", (13, 1), (17, 5), "websockets_sync"),
    Target("websockets.trio", "websockets", "websockets.trio.client", (17,), (17, 5), "websockets_trio"),
    Target("websockets.legacy", "websockets", "websockets.legacy.client", (13, 1), (17, 5), "websockets_legacy"),
    Target("aiohttp", "aiohttp", "aiohttp.client", (3, 9), (3, 15), "aiohttp_client"),
    Target("websocket-client", "websocket-client", "websocket._core", (1, 6), (1, 10), "websocket_client"),
)


def numbers(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version, for comparison; none where it does not begin with a number."""
    match = re.match(r"\d{1,18}(?:\.\d{1,18})*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


class ShapeError(Exception):
    """A library lacks something that a patch uses; the message names it."""


class Parameter(NamedTuple):
    """One parameter of a wrapped function, which callers pass by position or by name."""

    position: int
    name: str

    def get(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the argument that a caller passed for it; raise `LookupError` where there is none."""
        return kwargs[self.name] if self.name in kwargs else args[self.position]

    def put(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the caller's arguments with another value for it."""
        if self.name in kwargs:
            return args, {**kwargs, self.name: value}
        return (*args[: self.position], value, *args[self.position + 1 :]), kwargs


def require_callable(owner: Any, path: str) -> Any:
    """Return a function, method or class.

    Args:
        owner: The module or class.
        path: The dotted path from there.

    Raises:
        ShapeError: There is none.
    """
    found = owner
    for name in path.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        raise ShapeError(f"{owner.__name__} has no {path}")
    return found


def require_parameter(function: Any, *names: str, bound: bool = True) -> Parameter:
    """Return the parameter of a function under the first of its names that it has.

    Args:
        function: The function, or the method looked up on its class.
        names: The names of the parameter in the tested versions.
        bound: Whether callers leave the first parameter out, as they do for a method's ``self``.

    Raises:
        ShapeError: It has no such parameter.
    """
    for position, name in enumerate(inspect.signature(function).parameters):
        if name in names:
            return Parameter(position - bound, name)
    raise ShapeError(f"{function.__qualname__} has no parameter {' or '.join(names)}")


def require_attributes(cls: type, *names: str) -> None:
    """Check that a class has attributes, or that a constructor in its hierarchy sets them on instances.

    Args:
        cls: The class.
        names: The attributes.

    Raises:
        ShapeError: It lacks one.
    """
    found = set(_names_in_constructors(cls))
    for name in names:
        if not hasattr(cls, name) and name not in found:
            raise ShapeError(f"{cls.__module__} has no {cls.__name__}.{name}")


def _names_in_constructors(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        yield from vars(base).get("__annotations__", ())
        code = getattr(inspect.unwrap(vars(base).get("__init__", object.__init__)), "__code__", None)
        yield from code.co_names if code else ()
