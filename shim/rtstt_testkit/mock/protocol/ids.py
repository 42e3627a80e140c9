"""Identifiers in the endpoint's form: a prefix and 21 base62 characters."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

__all__ = ["Ids"]

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
#: A character for every byte; that eight of them are a little more frequent matters to nobody.
_OF_BYTE = (_BASE62 * 5)[:256].encode()


class Ids:
    """A source of identifiers; the same seed gives the same ones in the same order.

    Args:
        seed: Any integer or string; omitted, every run has its own.
    """

    def __init__(self, seed: int | str | None = None) -> None:
        self._seed = seed
        self._random = random.Random(seed)

    def child(self, of: str) -> Ids:
        """A source of its own, such as a connection's, whose identifiers do not depend on what others draw.

        Args:
            of: Whose.
        """
        return Ids(None if self._seed is None else f"{self._seed}/{of}")

    def new(self, prefix: str) -> str:
        """An identifier such as ``item_Db3…`` for the prefix ``item``."""
        return f"{prefix}_{self.text(21)}"

    def text(self, length: int) -> str:
        """Base62 characters, for example for ``obfuscation``."""
        return self._random.randbytes(length).translate(_OF_BYTE).decode()

    def chance(self, of: str) -> Callable[[], float]:
        """Numbers from 0 up to 1, for faults with a probability.

        Args:
            of: Whose; each has its own, so that what one connection meets does not depend on what others do.
        """
        return self.child(of)._random.random
