"""The kill switch: the environment variable ``RTSTT_SHIM_DISABLE``.

The bootstrap imports this module in every Python that a program may start: it is written for all of them since 2.7, and
needs no other module of the shim.
"""

import os

__all__ = ["is_disabled"]

_NOT_DISABLED = ("", "0", "false", "no", "off")


def is_disabled():
    # type: () -> bool
    """Return whether the shim must stay inert in this process: whether the variable has any value but these five.

    Case does not matter.
    """
    return os.environ.get("RTSTT_SHIM_DISABLE", "").lower() not in _NOT_DISABLED
