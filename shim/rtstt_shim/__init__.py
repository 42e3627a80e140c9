"""``import rtstt_shim`` corrects the URLs of realtime transcription sockets, and logs their failures.

Importing installs the shim; ``RTSTT_SHIM_DISABLE=1`` in the environment keeps it inert.

PYTEST_DONT_REWRITE: pytest rewrites the packages of its plugins, and warns of those that are imported already.
"""

from __future__ import annotations

from rtstt_core.patching.installation import Status, TargetStatus, install, uninstall
from rtstt_core.status import status
from rtstt_core.url_rule import Decision, fix_url

__all__ = ["Decision", "Status", "TargetStatus", "fix_url", "install", "status", "uninstall"]

install()
