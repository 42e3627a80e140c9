"""What a person sees of an exception, and which lines of it are the shim's."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import wrapt

import rtstt_core

_OURS = (str(Path(rtstt_core.__file__).parent), str(Path(wrapt.__file__).parent))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        if not type(error).__name__.startswith("Cancelled"):  # which is raised wherever the event loop was
            yield error
        error = error.__cause__ or error.__context__


def messages(error: BaseException) -> list[tuple[str, str]]:
    """Return the type and message of an exception and of those that caused it."""
    # aiohttp names the URL it connected to.
    return [(type(seen).__name__, str(seen).replace("&model=whisper-1", "")) for seen in _chain(error)]


def _frames(error: BaseException) -> list[list[tuple[str, int | None, str]]]:
    stacks = [traceback.extract_tb(seen.__traceback__) for seen in _chain(error)]
    return [[(frame.filename, frame.lineno, frame.name) for frame in stack] for stack in stacks]


def ours(error: BaseException) -> int:
    """Return how many lines of its longest traceback are the shim's; the last line never is."""
    most = 0
    for stack in _frames(error):
        flags = [frame[0].startswith(_OURS) for frame in stack]
        assert not any(flags[-1:])
        most = max(most, sum(flags))
    return most


def gained(error: BaseException, without: BaseException) -> int:
    """Return how many lines a traceback has more than without the shim; every other line must be the same."""
    most = 0
    for stack, stack_without in zip(_frames(error), _frames(without), strict=True):
        assert [frame for frame in stack if not frame[0].startswith(_OURS)] == stack_without
        most = max(most, len(stack) - len(stack_without))
    return most
