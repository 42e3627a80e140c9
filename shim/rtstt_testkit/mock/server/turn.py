"""How much is read from one client before the others have their turn."""

from __future__ import annotations

__all__ = ["Turn"]

_READ = 256 * 1024  # bytes in one read, as in asyncio
_FRAMES = 256
_SMALLEST_READ = 8 * 1024
_FEWEST_FRAMES = 2
#: All clients together in one iteration of the event loop, some 0.1 s however many they are.
_ALL_BYTES = 4 * 1024 * 1024
_ALL_FRAMES = 8 * 1024


class Turn:
    """The turn of each client, which is shorter the more they are.

    Attributes:
        buffer: What is read into; asyncio would allocate 256 KiB for every read.
        frames: The number of frames to handle at most.
    """

    __slots__ = ("_whole", "buffer", "frames")

    def __init__(self) -> None:
        self._whole = self.buffer = memoryview(bytearray(_READ))
        self.frames = _FRAMES

    def divide(self, clients: int) -> None:
        """Set how much is read from each.

        Args:
            clients: The number of clients.
        """
        clients = max(clients, 1)
        self.buffer = self._whole[: max(_SMALLEST_READ, _ALL_BYTES // clients)]
        self.frames = min(_FRAMES, max(_FEWEST_FRAMES, _ALL_FRAMES // clients))
