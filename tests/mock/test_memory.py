"""The resident memory of `rtstt-shim mock` over many sessions, and after a reset."""

import asyncio
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest
from talk import append
from test_many import frame
from test_server import upgrade

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc"),
]

MIB = 1024 * 1024
ROUNDS = 14
#: The command itself, with another number of sessions that it keeps.
COMMAND = """
import sys
from rtstt_core.cli import main
from rtstt_testkit.commands import _serving
_serving._KEEP_SESSIONS = int(sys.argv[1])
sys.exit(main(["mock"]))
"""
AUDIO = [frame(append(os.urandom(32 * 1024)))] * 32
LAST = frame({"type": "input_audio_buffer.clear"})
CLOSE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big")


class Size(NamedTuple):
    """How much one test does."""

    sessions: int  # in a round
    keep: int  # by the mock


@pytest.fixture(
    params=[
        pytest.param(Size(40, 80), id="40 sessions a round", marks=pytest.mark.heavy),
        pytest.param(Size(500, 1000), id="500 sessions a round", marks=pytest.mark.release),
    ]
)
def size(request) -> Size:
    return request.param


def resident(process: subprocess.Popen) -> float:
    """Return the resident memory of a process, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


async def session(port: int, doors: asyncio.Semaphore) -> None:
    """Send 1 MiB of audio, and close."""
    async with doors:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade())
        await reader.readuntil(b"session.created")
        for part in AUDIO:
            writer.write(part)
            await writer.drain()
        writer.write(LAST)
        await reader.readuntil(b"input_audio_buffer.cleared")
        writer.write(CLOSE)
        await reader.read()
        writer.close()


async def run_round(port: int, sessions: int) -> None:
    doors = asyncio.Semaphore(50)
    await asyncio.gather(*(session(port, doors) for _ in range(sessions)))


def test_memory_does_not_grow_with_the_sessions_that_ended_and_is_given_back_by_a_reset(size, record_property) -> None:
    process = subprocess.Popen([sys.executable, "-c", COMMAND, str(size.keep)], stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
        start = resident(process)
        after = []
        for _ in range(ROUNDS):
            asyncio.run(run_round(port, size.sessions))
            after.append(resident(process))
        request = urllib.request.Request(f"http://127.0.0.1:{port}/_mock/reset", method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200
        reset = resident(process)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    last = after[-1]
    figures = {"start": start, "after 3 rounds": after[2], f"after {ROUNDS} rounds": last, "after the reset": reset}
    for name, value in figures.items():
        record_property(name, f"{value:.0f} MiB")
    print(f"RSS with {size.sessions} sessions a round: ", ", ".join(f"{k} {v:.0f} MiB" for k, v in figures.items()))
    assert after[2] > start + size.keep  # what is kept is there: each session has 1 MiB
    assert last <= 1.15 * after[2]
    assert reset <= start + 24
