"""Identifiers in the endpoint's form: a prefix and 21 base62 characters."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

__all__ = ["Ids"]

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
#: A character for every byte; eight of them are slightly more frequent.
_OF_BYTE = (_BASE62 * 5)[:256].encode()


class Ids:
    """A source of identifiers; the same seed gives the same identifiers in the same order.

    Args:
        seed: Any integer or string; None for different identifiers in every run.
    """

    def __init__(self, seed: int | str | None = None) -> None:
        self._seed = seed
        self._random = random.Random(seed)

    def child(self, of: str) -> Ids:
        """Return an independent source, such as a connection's.

        Args:
            of: The name of its owner.
        """
        return Ids(None if self._seed is None else f"{self._seed}/{of}")

    def new(self, prefix: str) -> str:
        """Return an identifier such as ``item_Db3…`` for the prefix ``item``."""
        return f"{prefix}_{self.text(21)}"

    def text(self, length: int) -> str:
        """Return base62 characters, for example for ``obfuscation``."""
        return self._random.randbytes(length).translate(_OF_BYTE).decode()

    def chance(self, of: str) -> Callable[[], float]:
        """Return a function that returns random numbers from 0 up to 1, for faults with a probability.

        Args:
            of: The name of its owner; each has an independent sequence.
        """
        return self.child(of)._random.random
