"""The status of the shim, and the record that nothing in this environment needs it any more."""

from __future__ import annotations

from rtstt_core.patching import installation
from rtstt_core.patching.installation import Status

__all__ = ["status"]

_examined = False


def status() -> Status:
    """Return the status of the shim, target by target.

    The first call in a process examines the installed clients. If none of them needs the shim any more, and no URL was
    corrected, it logs one INFO record; ``rtstt-shim doctor --fail-unneeded`` reports the same.
    """
    global _examined
    found = installation.status()
    if found.active and not found.corrected and not _examined:
        _examined = True
        fixed = _fixed_clients()
        if fixed:
            from rtstt_core.patching.messages import log

            log("info", f"nothing in this environment needs the shim any more: {fixed} is fixed")
    return found


def _fixed_clients() -> str:
    """Return the installed clients that made the shim unnecessary; empty while one needs it, or on any error."""
    from rtstt_core.clients.python_environments import own
    from rtstt_core.clients.python_installed import find_python_clients
    from rtstt_core.clients.results import Report
    from rtstt_core.clients.tree import Unread

    try:
        report = Report([], "", find_python_clients(own(Unread())), [], [])
    except Exception:  # a status never fails, whatever is on sys.path
        return ""
    return ", ".join(f"{client.name} {client.version}" for client in report.fixed)
