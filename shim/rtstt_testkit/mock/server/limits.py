"""The system's limit of open files, which limits the connections of a server."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["file_limit", "raise_file_limit"]

if sys.platform == "win32":

    def file_limit() -> int:
        """Return the number of files that this process may open."""
        return sys.maxsize

    def raise_file_limit() -> None:
        """Raise the soft limit of open files to the hard limit."""

else:
    import resource

    def file_limit() -> int:
        """Return the number of files that this process may open."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return sys.maxsize if soft == resource.RLIM_INFINITY else soft

    def raise_file_limit() -> None:
        """Raise the soft limit of open files to the hard limit."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):  # such as macOS, which allows less than it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
