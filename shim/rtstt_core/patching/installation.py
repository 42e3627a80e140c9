"""What is patched, by whom it can be undone, and what could not be patched.

A patch goes through two gates, the library's version and then the shape of what is wrapped. A patch that fails either
is recorded and warned of once, and the library works as it did before. Every wrapper carries a switch of its own
installation: `uninstall()` throws it first, because a live session may hold the wrapped method for hours.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rtstt_core.bootstrap._rtstt_disable import is_disabled
from rtstt_core.patching.targets import TARGETS, ShapeError, Target
from rtstt_core.url_rule import Decision, fix_url

if TYPE_CHECKING:
    from rtstt_core.patching.connect_attempt import Opening
    from rtstt_core.watch import Watch

__all__ = ["Connections", "Status", "TargetStatus", "install", "status", "uninstall"]


class TargetStatus(NamedTuple):
    """How one target stands.

    Attributes:
        name: The target.
        version: The library's version; empty while it is not imported.
        state: ``"waiting"`` (not imported yet), ``"patched"``, ``"skipped"`` (its version is not one the shim was
            tested with), ``"failed"`` (its shape is not, or our own code failed), ``"off"`` (not installed).
        detail: Why, where there is something to say.
    """

    name: str
    version: str
    state: str
    detail: str


class Status(NamedTuple):
    """How the shim stands.

    Attributes:
        active: Whether it is installed.
        reason: Why not, when it is not.
        corrected: How many URLs were corrected in this process.
        targets: One row a target.
    """

    active: bool
    reason: str
    corrected: int
    targets: tuple[TargetStatus, ...]

    def __str__(self) -> str:
        """A table for people."""
        head = "rtstt_shim is active" if self.active else f"rtstt_shim is not active: {self.reason}"
        lines = [f"{head}; URLs corrected: {self.corrected}"]
        lines += [f"  {row.name:<18} {row.version:<10} {row.state:<8} {row.detail}".rstrip() for row in self.targets]
        return "\n".join(lines)


class _Patch:
    """One target as it is patched now: its wrappers, and the switch that all of them obey."""

    def __init__(self, target: Target, version: str, module: ModuleType | None = None) -> None:
        self.target = target
        self.version = version
        # A reload keeps the module and gives it another spec.
        self.spec = getattr(module, "__spec__", None)
        self.state = "patched"
        self.detail = ""
        self.on = True
        self.handles: list[tuple[Any, str, Any]] = []

    def is_on(self) -> bool:
        return self.on

    def wrap(self, owner: ModuleType, name: str, wrapper: Callable[..., Any]) -> None:
        import wrapt

        *path, attribute = name.split(".")
        try:
            # The class itself is kept: after a reload of its module the name leads to another one.
            place = functools.reduce(getattr, path, cast(Any, owner))
            handle = wrapt.wrap_object(place, attribute, wrapt.FunctionWrapper, (wrapper, self.is_on))
        except AttributeError as error:
            raise ShapeError(f"{owner.__name__} has no {name}") from error
        self.handles.append((place, attribute, handle))

    def undo(self) -> None:
        import wrapt

        self.on = False
        while self.handles:
            owner, name, handle = self.handles.pop()
            try:
                wrapt.unwrap_object(owner, name, handle, missing_ok=True)
            except Exception as error:
                # Another tool's plain closure stands above ours: it stays in place and, switched off, does nothing.
                self.detail = f"left in place, inert: {_describe(error)}"
        self.state = "off"


class Connections:
    """What a target's wrappers need to know about a connection that is being opened.

    Used as a context manager around a wrapper's own work it keeps that work's exceptions from the application: they
    are recorded, warned of once, and the client goes on as without the shim.
    """

    def __init__(self, patch: _Patch) -> None:
        self._patch = patch

    def decide(self, url: str) -> Decision:
        """Apply the URL rule, and count what it corrected.

        Args:
            url: The URL the client is about to connect to.
        """
        decision = fix_url(url)
        if decision.changed:
            global _corrected
            _corrected += 1
            _log("info", f"corrected the URL of a {self._patch.target.library} connection: {decision.reason}")
        return decision

    def watch(self, url: str) -> Watch:
        """Begin to watch a connection.

        Args:
            url: The URL connected to.
        """
        from rtstt_core.report import Source
        from rtstt_core.watch import Watch

        return Watch(Source(self._patch.target.library, self._patch.version, url), self._patch.is_on)

    def opening(self, url: str) -> Opening | None:
        """Begin to watch a connection from before it stands.

        Args:
            url: The URL the client was given.

        Returns:
            None unless it is, or will be when corrected, that of a realtime transcription session.
        """
        decision = fix_url(url)
        if not decision.transcription:
            return None
        from rtstt_core.patching.connect_attempt import Opening

        return Opening(decision.url, self)

    def failed(self, error: BaseException) -> None:
        """Record a failure of our own code.

        Args:
            error: What it raised.
        """
        patch = self._patch
        if patch.state != "failed":
            patch.state, patch.detail = "failed", _describe(error)
            _log(
                "warning",
                f"failed in its own code on {_label(patch)}; the client goes on without it: {patch.detail}",
            )

    def __enter__(self) -> Connections:
        """Nothing to set up."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Keep an `Exception` from the application."""
        if isinstance(error, Exception):
            self.failed(error)
            return True
        return False


# `unwrap_object` came with 2.4.
_OF_WRAPT = ("FunctionWrapper", "ObjectProxy", "register_post_import_hook", "unwrap_object", "wrap_object")

_lock = threading.RLock()
_patches: dict[str, _Patch] = {}
_hooked: set[str] = set()
_active = False
_reason = "not installed"
_corrected = 0


def install() -> None:
    """Patch the client libraries that are imported, and those that will be, at the moment they are.

    Installing twice is one installation; after a client library was reloaded it patches what is new in it. It never
    raises: where it cannot work, `status()` says why, and so does one warning. With ``RTSTT_SHIM_DISABLE=1`` in the
    environment nothing happens.
    """
    global _active, _reason
    if is_disabled():
        _reason = "RTSTT_SHIM_DISABLE is set"
        return
    lacking = _what_wrapt_lacks()
    if lacking:
        told, _reason = _reason == lacking, lacking
        if not told:
            _log("warning", f"is not active, and the application runs as without it: {lacking}")
        return
    import wrapt

    with _lock:
        _active = True
        fresh = [target for target in TARGETS if target.module not in _hooked]
        _hooked.update(target.module for target in fresh)
    for target in TARGETS:
        hook = _Hook(target)
        if target in fresh:
            # Fires once; later installations find the module here.
            wrapt.register_post_import_hook(hook, target.module)
            hook.at_once = False
        elif target.module in sys.modules:
            hook(sys.modules[target.module])


def uninstall() -> None:
    """Take every patch back and calm the sessions that are open.

    What another tool wrapped after us stays wrapped by it. Uninstalling twice is harmless.
    """
    global _active, _reason
    with _lock:
        if _active:
            _active, _reason = False, "uninstalled"
        for patch in _patches.values():
            patch.undo()


def status() -> Status:
    """How the shim stands, target by target."""
    if _active:
        # A module that was half imported when its hook fired has its shape by now.
        for target in TARGETS:
            patch = _patches.get(target.name)
            if target.module in sys.modules and (patch is None or patch.state == "waiting"):
                _Hook(target)(sys.modules[target.module])
    rows = []
    for target in TARGETS:
        patch = _patches.get(target.name)
        if patch is None:
            rows.append(TargetStatus(target.name, "", "waiting" if _active else "off", ""))
        else:
            rows.append(TargetStatus(target.name, patch.version, patch.state, patch.detail))
    return Status(_active, "" if _active else _reason, _corrected, tuple(rows))


def _what_wrapt_lacks() -> str:
    """Why there is no patching with the wrapt that is installed; empty when it will do."""
    needed = "wrapt 2.4 or newer is needed, and "
    mend = " (pip install 'wrapt>=2.4,<3')"
    try:
        import wrapt
    except Exception as error:
        return f"{needed}it cannot be imported: {_describe(error)}{mend}"
    if all(hasattr(wrapt, name) for name in _OF_WRAPT):
        return ""
    return f"{needed}this is {getattr(wrapt, '__version__', 'another')}{mend}"


class _Hook:
    """What wrapt calls at the end of a module's import, or at once where that has begun already."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.at_once = True

    def __call__(self, module: ModuleType) -> None:
        # An exception here would fail the application's import.
        try:
            _apply(self.target, module, half_imported=self.at_once and _half_imported(module))
        except Exception as error:
            _log("warning", f"could not look at {self.target.name}: {_describe(error)}")


def _half_imported(module: ModuleType) -> bool:
    """Whether the module's own code is still running beneath us; where another thread runs it, wait for that."""
    if _initializing(module):
        importlib.import_module(module.__name__)
    return _initializing(module)


def _initializing(module: ModuleType) -> bool:
    return getattr(getattr(module, "__spec__", None), "_initializing", None) is True


def _apply(target: Target, module: ModuleType, *, half_imported: bool) -> None:
    """Patch one target, through its gates."""
    # Outside the lock: another thread may be importing this package and wait for the lock.
    version = _version(target, module)
    known = target.tested_with(version)
    patcher = importlib.import_module(f"rtstt_core.patching.{target.patch}") if known else None
    with _lock:
        before = _patches.get(target.name)
        if not _active:
            return
        if before is not None and before.on:
            spec = getattr(module, "__spec__", None)
            if before.spec is spec:
                return
            # Reloaded: what is open or was imported by name uses the classes of before, and keeps their patch.
            patch, before.spec = before, spec
        else:
            patch = _patches[target.name] = _Patch(target, version, module)
        if patcher is None:
            patch.on, patch.state = False, "skipped"
            oldest, below = (".".join(map(str, bound)) for bound in (target.oldest, target.below))
            patch.detail = f"tested with {oldest} up to, not including, {below}"
        else:
            try:
                patcher.patch(module, patch.wrap, Connections(patch))
            except Exception as error:
                patch.undo()
                patch.state = "waiting" if half_imported else "failed"
                patch.detail = _describe(error)
        told = before is not None and before.detail == patch.detail
    if patch.state in ("skipped", "failed") and not told:
        _log("warning", f"does not patch {_label(patch)}, which works as without it: {patch.detail}")


def _version(target: Target, module: ModuleType) -> str:
    package = sys.modules.get(module.__name__.partition(".")[0])
    version = getattr(package, "__version__", None)
    if isinstance(version, str):
        return version
    from importlib import metadata

    try:
        distribution = metadata.distribution(target.library)
    except metadata.PackageNotFoundError:
        return ""
    # websocket-client says it only at the end of its import, and `metadata.version` is half of what this hook would
    # take: it reads the whole file as an e-mail.
    found = re.search(r"(?m)^Version: (.+)", distribution.read_text("METADATA") or "")
    return found[1] if found else distribution.version


def _label(patch: _Patch) -> str:
    return f"{patch.target.name} {patch.version or '(version unknown)'}"


def _describe(error: BaseException) -> str:
    from rtstt_core.redact import redact

    return redact(str(error) if isinstance(error, ShapeError) else f"{type(error).__name__}: {error}")


def _log(level: str, text: str) -> None:
    import logging

    # An application's own filter or handler may raise, and this runs in its imports.
    with contextlib.suppress(Exception):
        getattr(logging.getLogger("rtstt_shim"), level)("rtstt_shim: %s", text)


def _after_fork() -> None:
    # Another thread of the parent may have held it.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
