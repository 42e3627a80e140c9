"""Installing and uninstalling the patches, and their status.

A patch goes through two gates, the library's version and then the shape of everything it uses. A target that fails
either is recorded, warned of once and left unpatched.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from rtstt_core.bootstrap._rtstt_disable import is_disabled
from rtstt_core.forking import call_in_forked_child
from rtstt_core.patching.guard import Counters, PatchContext, State
from rtstt_core.patching.messages import describe, log
from rtstt_core.patching.targets import TARGETS, Target
from rtstt_core.patching.wrapping import missing_from_wrapt
from rtstt_core.url_rule import invalid_hosts

__all__ = ["Installation", "Status", "TargetStatus", "install", "status", "uninstall"]


class TargetStatus(NamedTuple):
    """The status of one target.

    Attributes:
        name: The target.
        version: The library's version; empty while it is not imported.
        state: ``"waiting"`` (not imported yet), ``"patched"``, ``"skipped"`` (its version is not one the shim is tested
            with), ``"failed"`` (its shape is not, or an internal error), ``"off"`` (not installed).
        detail: The reason for the state; may be empty.
    """

    name: str
    version: str
    state: State
    detail: str


class Status(NamedTuple):
    """The status of the shim.

    Attributes:
        active: Whether it is installed.
        reason: Why it is not active; empty when it is.
        corrected: How many URLs were corrected in this process.
        targets: The status of each target.
        watched: How many connections were watched in this process.
        failed: How many failures were reported in this process, repeated ones included.
    """

    active: bool
    reason: str
    corrected: int
    targets: tuple[TargetStatus, ...]
    watched: int = 0
    failed: int = 0

    def __str__(self) -> str:
        """Return a table for people."""
        head = "rtstt_shim is active" if self.active else f"rtstt_shim is not active: {self.reason}"
        counts = f"URLs corrected: {self.corrected}, connections watched: {self.watched}, failures: {self.failed}"
        lines = [f"{head}; {counts}"]
        lines += [f"  {row.name:<18} {row.version:<10} {row.state:<8} {row.detail}".rstrip() for row in self.targets]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


class Installation:
    """The patches of some targets, which are installed and uninstalled together.

    Args:
        targets: The targets.

    Attributes:
        targets: The targets.
        lock: Held while patches are made or removed, never while something is logged.
    """

    def __init__(self, targets: Sequence[Target] = TARGETS) -> None:
        self.targets = tuple(targets)
        self.lock = threading.RLock()
        self._contexts: dict[str, PatchContext] = {}
        self._hooked: set[str] = set()
        self._counters = Counters()
        self._active = False
        self._reason = "not installed"
        self._hosts = ""

    def install(self) -> None:
        """Patch the targets that are imported, and the others at the moment they are; see the function `install`."""
        if is_disabled():
            self._reason = "RTSTT_SHIM_DISABLE is set"
            return
        missing = missing_from_wrapt()
        if missing:
            logged, self._reason = self._reason == missing, missing
            if not logged:
                log("warning", f"is not active; the application is unaffected: {missing}")
            return
        import wrapt

        self._warn_of_invalid_hosts(os.environ.get("RTSTT_SHIM_HOSTS", ""))
        with self.lock:
            self._active = True
            new = [target for target in self.targets if target.module not in self._hooked]
            self._hooked.update(target.module for target in new)
        for target in self.targets:
            if target in new:
                # Fires once; later installations find the module in `sys.modules`.
                hook = _ImportHook(self, target)
                wrapt.register_post_import_hook(hook, target.module)
                hook.registering = False
            elif target.module in sys.modules:
                self.patch(target, sys.modules[target.module])

    def _warn_of_invalid_hosts(self, setting: str) -> None:
        invalid = invalid_hosts(setting) if setting != self._hosts else []
        self._hosts = setting
        if invalid:
            from rtstt_core.redact import redact

            names = ", ".join(f"'{redact(name)}'" for name in invalid)
            log(
                "warning",
                f"RTSTT_SHIM_HOSTS names {names}, which no host can match; list host names separated by commas, "
                "without a scheme, a port or a path",
            )

    def uninstall(self) -> None:
        """Remove every patch and silence the open sessions."""
        with self.lock:
            if self._active:
                self._active, self._reason = False, "uninstalled"
            for context in self._contexts.values():
                context.undo()

    def status(self) -> Status:
        """Return the status, target by target."""
        if self._active:
            # A module that was half imported when its hook fired has its shape by now.
            for target in self.targets:
                context = self._contexts.get(target.name)
                if target.module in sys.modules and (context is None or context.state == "waiting"):
                    self.patch(target, sys.modules[target.module])
        rows = []
        for target in self.targets:
            context = self._contexts.get(target.name)
            if context is None:
                rows.append(TargetStatus(target.name, "", "waiting" if self._active else "off", ""))
            else:
                rows.append(TargetStatus(target.name, context.version, context.state, context.detail))
        from rtstt_core.report import failure_count

        reason = "" if self._active else self._reason
        counters = self._counters
        return Status(self._active, reason, counters.corrected, tuple(rows), counters.watched, failure_count())

    def patch(self, target: Target, module: ModuleType, *, importing: bool = True) -> None:
        """Patch one target, through its gates. It never raises.

        Args:
            target: The target.
            module: Its module.
            importing: Whether the module's own import may still be running.
        """
        # An exception here would fail the application's import.
        try:
            self._patch(target, module, half_imported=importing and _is_half_imported(module))
        except Exception as error:
            log("warning", f"internal error on {target.name}; the client is left unpatched: {describe(error)}")

    def _patch(self, target: Target, module: ModuleType, *, half_imported: bool) -> None:
        # Outside the lock: another thread may be importing this package and wait for the lock.
        version = _version_of(target, module)
        patcher = None
        if target.tested_with(version):
            patcher = importlib.import_module(f"rtstt_core.patching.{target.patch}")
        with self.lock:
            before = self._contexts.get(target.name)
            if not self._active:
                return
            if before is not None and before.enabled:
                spec = getattr(module, "__spec__", None)
                if before.spec is spec:
                    return
                # Reloaded: what is open or was imported by name uses the classes of before, and keeps their patch.
                context, before.spec = before, spec
            else:
                context = self._contexts[target.name] = PatchContext(target, version, self._counters, module)
            if patcher is None:
                context.enabled, context.state = False, "skipped"
                oldest, below = (".".join(map(str, bound)) for bound in (target.oldest, target.below))
                context.detail = f"tested with {oldest} up to, not including, {below}"
            else:
                try:
                    patcher.patch(module, context)
                except Exception as error:
                    context.undo()
                    context.state = "waiting" if half_imported else "failed"
                    context.detail = describe(error)
            logged = before is not None and before.detail == context.detail
        if context.state in ("skipped", "failed") and not logged:
            log("warning", f"{context} is left unpatched: {context.detail}")

    def reset_lock(self) -> None:
        """Replace the lock, which another thread of a forked parent may have held."""
        self.lock = threading.RLock()


class _ImportHook:
    """What wrapt calls at the end of a module's import, or while it is registered where that has already begun."""

    def __init__(self, installation: Installation, target: Target) -> None:
        self._installation = installation
        self._target = target
        self.registering = True

    def __call__(self, module: ModuleType) -> None:
        self._installation.patch(self._target, module, importing=self.registering)


def _is_half_imported(module: ModuleType) -> bool:
    """Return whether the module's own code is running further up the stack; wait for another thread that runs it."""
    if _is_initializing(module):
        importlib.import_module(module.__name__)
    return _is_initializing(module)


def _is_initializing(module: ModuleType) -> bool:
    return getattr(getattr(module, "__spec__", None), "_initializing", None) is True


def _version_of(target: Target, module: ModuleType) -> str:
    package = sys.modules.get(module.__name__.partition(".")[0])
    version = getattr(package, "__version__", None)
    if isinstance(version, str):
        return version
    from importlib import metadata

    try:
        distribution = metadata.distribution(target.library)
    except metadata.PackageNotFoundError:
        return ""
    # websocket-client sets `__version__` at the end of its import. `metadata.version` would take half of this hook's
    # time: it parses the whole file as an e-mail.
    found = re.search(r"(?m)^Version: (.+)", distribution.read_text("METADATA") or "")
    return found[1] if found else distribution.version


_installation = Installation()
call_in_forked_child(_installation.reset_lock)


def install() -> None:
    """Patch the client libraries that are imported, and those that will be, at the moment they are.

    Installing twice is one installation; after a client library was reloaded it patches what is new in it. It never
    raises: where it cannot work, one warning and `status()` give the reason. With ``RTSTT_SHIM_DISABLE=1`` in the
    environment nothing happens.
    """
    _installation.install()


def uninstall() -> None:
    """Remove every patch and silence the open sessions.

    What another tool wrapped after the shim stays wrapped by it. Uninstalling twice is harmless.
    """
    _installation.uninstall()


def status() -> Status:
    """Return the status of the shim, target by target."""
    return _installation.status()
