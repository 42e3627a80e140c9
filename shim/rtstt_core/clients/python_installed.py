"""Which Python clients of an environment are affected: the Python half of ``rtstt-shim doctor``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from rtstt_core.bootstrap._rtstt_disable import is_disabled
from rtstt_core.clients.python_environments import PythonEnvironment
from rtstt_core.clients.python_table import PYTHON_CLIENTS, VersionRange
from rtstt_core.clients.results import Client, Verdict
from rtstt_core.patching.targets import TARGETS, numbers

__all__ = ["find_python_clients", "shim_is_active"]


def find_python_clients(environment: PythonEnvironment) -> list[Client]:
    """Return the known clients of an environment, in the order of the table."""
    return list(_found(environment))


def _found(environment: PythonEnvironment) -> Iterator[Client]:
    for known in PYTHON_CLIENTS:
        version = environment.versions.get(known.name)
        if version is None:
            continue
        row = known.at(version)
        covered, shim = _cover(environment, known.transport, row)
        newer = f" (as of {known.examined}: newer versions were not examined)" if known.is_newer(version) else ""
        yield Client(
            "PyPI",
            known.name,
            version,
            environment.name,
            None,
            _verdict(row),
            f"{row.why}{newer}",
            shim,
            covered,
            _fix(row),
            known.not_needed_from(version),
        )


def _verdict(row: VersionRange) -> Verdict:
    if row.sends == "unknown":
        return "unknown"
    return "affected" if row.affected else "not affected"


def _fix(row: VersionRange) -> str | None:
    if not row.affected:
        return None
    return f"upgrade to {row.fixed_in}" if row.fixed_in else "no release without this fault is known"


def _cover(environment: PythonEnvironment, transport: str, row: VersionRange) -> tuple[bool, str]:
    """Return whether the shim helps in an environment, and how, a clause."""
    if row.beta:
        return False, "warns when a session is refused; it cannot correct a header"
    inactive = _why_inactive(environment)
    if inactive:
        return False, f"nothing: {inactive}"
    version = environment.versions.get(transport)
    if version is None:
        return False, f"nothing: {transport}, which it connects with, is not installed"
    target = next(target for target in TARGETS if target.library == transport)
    if target.tested_with(version):
        return True, f"corrects its URLs, on {transport} {version}"
    return False, f"nothing: it was not tested with {transport} {version}"


def shim_is_active(environment: PythonEnvironment) -> bool:
    """Return whether ``import rtstt_shim`` patches anything in an environment."""
    return _why_inactive(environment) is None


def _why_inactive(environment: PythonEnvironment) -> str | None:
    if is_disabled():
        return "RTSTT_SHIM_DISABLE is set"
    if "rtstt-shim" not in environment.versions:
        return "rtstt-shim is not installed there; install it, or start the program with `rtstt-shim run -- COMMAND`"
    version = environment.versions.get("wrapt")
    if version is None:
        return "wrapt is not installed; reinstall rtstt-shim"
    needed = _needed_of_wrapt()
    if any(not _satisfies(version, *bound) for bound in re.findall(r"(>=|<)\s*([0-9.]+)", needed)):
        return f"it needs wrapt {needed}, and {version} is installed"
    return None


def _needed_of_wrapt() -> str:
    """Return what our own distribution requires of wrapt, such as ``>=1.16,<3``."""
    try:
        required = metadata.requires("rtstt-shim") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((text.removeprefix("wrapt").strip() for text in required if text.startswith("wrapt")), "")


def _satisfies(version: str, operator: str, bound: str) -> bool:
    return numbers(version) >= numbers(bound) if operator == ">=" else numbers(version) < numbers(bound)
