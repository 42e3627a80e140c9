"""The errors of a command: each carries one sentence that names the thing and the fix."""

from __future__ import annotations

__all__ = ["CommandError", "UsageError"]


class CommandError(Exception):
    """A command failed (exit code 1)."""

    exit_code = 1


class UsageError(CommandError):
    """A command got arguments or an environment that it cannot work with (exit code 2)."""

    exit_code = 2
