"""Thousands of sessions at once."""

import asyncio
import json

import pytest
from talk import COMPLETED, append, update
from test_limits import masked
from test_server import SPEECH, settled, upgrade

from rtstt_testkit import RealtimeServer

resource = pytest.importorskip("resource")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=[pytest.param(200, marks=pytest.mark.heavy), pytest.param(2000, marks=pytest.mark.release)])
def sessions(request):
    """How many; both ends of every socket are in this process, and each needs an open file."""
    sessions = request.param
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = 2 * sessions + 200
    if soft < need:
        if hard != resource.RLIM_INFINITY and hard < need:
            pytest.skip(f"this machine allows {hard} open files, {need} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    yield sessions
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def frame(event: dict) -> bytes:
    text = json.dumps(event).encode()
    if len(text) < 65536:
        return b"\x81" + (b"\xfe" + len(text).to_bytes(2, "big")) + bytes(4) + text
    return masked(text)


SAYS = frame(update(turn_detection={"type": "server_vad"})) + b"".join(
    frame(append(SPEECH[at : at + 12_000])) for at in range(0, len(SPEECH), 12_000)
)


async def connected(server, doors):
    async with doors:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"session.created")
    return reader, writer


async def transcribed(reader, writer) -> None:
    writer.write(SAYS)
    await reader.readuntil(COMPLETED.encode())


def test_many_sessions_are_held_and_each_gets_its_transcript(sessions) -> None:
    async def scenario():
        # These clients answer no PING, and on a busy machine it takes a minute until the last of them has connected.
        async with RealtimeServer(keep_audio=0, ping_interval=None) as server:
            doors = asyncio.Semaphore(100)
            streams = await asyncio.gather(*(connected(server, doors) for _ in range(sessions)))
            assert sum(session.open for session in server.sessions) == sessions
            assert len(server._sessions.drivers) == sessions
            # All of them are alive: whoever speaks, first or last, is answered.
            await asyncio.gather(*(transcribed(*stream) for stream in streams))
            assert all(len(session.transcripts) == 1 for session in server.sessions)
            assert sum(session.open for session in server.sessions) == sessions
            for _, writer in streams:
                writer.transport.abort()
            await settled(server)
            assert not server._sessions.drivers

    asyncio.run(asyncio.wait_for(scenario(), 240))
