"""Wrappers that can be removed, with every wrapt from 1.16 on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from rtstt_core.patching.messages import describe
from rtstt_core.patching.targets import ShapeError

__all__ = ["REQUIREMENT", "Wrappers", "missing_from_wrapt"]

REQUIREMENT = "wrapt>=1.16,<3"

_USED = ("FunctionWrapper", "ObjectProxy", "register_post_import_hook", "wrap_object")


def missing_from_wrapt() -> str:
    """Return why the installed wrapt cannot be used; empty when it can."""
    needed = "wrapt 1.16 or newer is needed, and "
    fix = f" (pip install '{REQUIREMENT}')"
    try:
        import wrapt
    except Exception as error:
        return f"{needed}it cannot be imported: {describe(error)}{fix}"
    if all(hasattr(wrapt, name) for name in _USED):
        return ""
    return f"{needed}this is {getattr(wrapt, '__version__', 'another')}{fix}"


class Wrappers:
    """The wrappers of one patched target.

    Args:
        enabled: Returns whether they are on. A wrapper that is off calls what it wraps and does nothing else.
    """

    def __init__(self, enabled: Callable[[], bool]) -> None:
        self._enabled = enabled
        # The owner, the attribute, the wrapper, and whether the owner had the attribute itself.
        self._wrapped: list[tuple[Any, str, Any, bool]] = []

    def wrap(self, module: ModuleType, path: str, wrapper: Callable[..., Any]) -> None:
        """Wrap a function or method.

        Args:
            module: The module.
            path: The dotted path to it from there.
            wrapper: Called with the function, its instance, and the caller's positional and keyword arguments.

        Raises:
            ShapeError: There is nothing at the path.
        """
        import wrapt

        *parents, attribute = path.split(".")
        try:
            # The class itself is kept: after a reload of its module the name leads to another one.
            owner = functools.reduce(getattr, parents, cast(Any, module))
            own = attribute in vars(owner)
            handle = wrapt.wrap_object(owner, attribute, wrapt.FunctionWrapper, (wrapper, self._enabled))
        except AttributeError as error:
            raise ShapeError(f"{module.__name__} has no {path}") from error
        self._wrapped.append((owner, attribute, handle, own))

    def unwrap(self) -> str:
        """Remove the wrappers, last in first out.

        Returns:
            Why one was left in place; empty when all were removed.
        """
        problem = ""
        while self._wrapped:
            try:
                _unwrap(*self._wrapped.pop())
            except Exception as error:
                # Another tool wrapped the function after us: ours stays below it and, switched off, does nothing.
                problem = f"left in place, inert: {describe(error)}"
        return problem


def _unwrap(owner: Any, attribute: str, handle: Any, own: bool) -> None:
    import wrapt

    # wrapt has it since 2.4; it also removes a wrapper from between others.
    unwrap_object = getattr(wrapt, "unwrap_object", None)
    if unwrap_object is not None:
        unwrap_object(owner, attribute, handle, missing_ok=True)
    elif vars(owner).get(attribute) is not handle:
        raise RuntimeError(f"another tool wrapped {owner.__name__}.{attribute} after the shim")
    elif own:
        setattr(owner, attribute, handle.__wrapped__)
    else:
        delattr(owner, attribute)
