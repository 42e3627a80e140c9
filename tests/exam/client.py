"""A speech client that survives what the endpoint does, and that can be given one bug at a time.

    python client.py audio.wav [BUG]...

It prints one final transcript a line, in the order of speech, and reports everything else on stderr.
"""

import asyncio
import base64
import json
import os
import random
import sys
import wave

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

BUGS = frozenset(sys.argv[2:])
SPEED = 8.0 if BUGS & {"closes-early", "prints-at-once"} else 1.6  # times real time
RATE = 48_000  # bytes a second
CHUNK = 2400  # bytes
TRANSCRIPTION = "conversation.item.input_audio_transcription."
SILENT = 25.0  # seconds without an answer to a PING
PATIENCE = 20.0  # seconds that a transcript may take
FATAL_STATUSES = {400, 401, 403, 404}
FATAL_CODES = {3000, 4000, 4004}


def report(*words: object) -> None:
    if "silent" not in BUGS:
        print(*words, file=sys.stderr, flush=True)


class Fatal(Exception):
    """The session was refused in a way that no retry changes."""


class Client:
    def __init__(self, pcm: bytes) -> None:
        self.pcm = pcm
        self.started = asyncio.get_running_loop().time()
        self.settled = 0  # bytes of which the transcript was printed, or failed
        self.sent = 0
        self.texts: list[str] = []

    def available(self) -> int:
        """How much the microphone has recorded."""
        if "one-shot" in BUGS:
            return len(self.pcm)
        return min(int((asyncio.get_running_loop().time() - self.started) * RATE * SPEED), len(self.pcm))

    @property
    def done(self) -> bool:
        return self.settled >= len(self.pcm) - RATE * 2

    async def run(self) -> int:
        failures = total = 0
        while not self.done:
            before = self.settled
            try:
                await self.session()
            except Fatal as error:
                report("refused:", error)
                if "retries-fatal" not in BUGS:
                    return 1
                await asyncio.sleep(0.1)
                total += 1
                if total > 6:
                    return 1
                continue
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake) as error:
                report("interrupted:", type(error).__name__, error)
            if self.done:
                break
            failures = 0 if self.settled > before and "budget" not in BUGS else failures + 1
            if failures > (2 if "budget" in BUGS else 6) or "gives-up" in BUGS:
                report("gave up: no transcript")
                return 1
            pause = 0.25 * 2 ** min(failures, 5) * random.uniform(0.9, 1.1)
            if "storm" in BUGS:
                pause = 0.0
            elif "constant-pause" in BUGS:
                pause = 2.0
            await asyncio.sleep(pause)
        return 0

    async def session(self) -> None:
        key = os.environ["OPENAI_API_KEY"]
        url = os.environ["OPENAI_BASE_URL"].replace("http", "ws", 1) + "/realtime?intent=transcription"
        if "drops-leading" in BUGS and not self.sent:
            asked = asyncio.get_running_loop().time()
        try:
            socket = await connect(
                url,
                additional_headers={"Authorization": f"Bearer {key}"},
                ping_interval=1,
                ping_timeout=None if "no-watchdog" in BUGS else SILENT,
                open_timeout=60,
                max_size=64 * 1024 * 1024,
            )
        except InvalidStatus as error:
            if error.response.status_code in FATAL_STATUSES:
                raise Fatal(f"HTTP {error.response.status_code}") from None
            raise
        if "drops-leading" in BUGS and not self.sent:
            self.sent = self.settled = min(int((asyncio.get_running_loop().time() - asked) * RATE), RATE // 2) // 2 * 2
        async with socket:
            try:
                await Session(self, socket).run()
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd else None
                reason = error.rcvd.reason if error.rcvd else ""
                if code in FATAL_CODES or "quota" in reason:
                    raise Fatal(f"close {code} {reason}") from None
                raise


class Session:
    def __init__(self, client: Client, socket) -> None:
        self.client = client
        self.socket = socket
        self.begin = client.settled if "loses-cut-audio" not in BUGS else client.sent
        if "sends-twice" in BUGS:
            self.begin = max(client.settled - RATE, 0)
        self.position = self.begin
        self.order: list[str] = []
        self.ends: dict[str, int] = {}
        self.texts: dict[str, str | None] = {}
        self.shown = 0
        self.updated = asyncio.Event()

    async def run(self) -> None:
        reader = asyncio.create_task(self.read())
        writer = asyncio.create_task(self.write())
        done, pending = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        if writer in done and not writer.exception() and "closes-early" not in BUGS and not self.client.done:
            await asyncio.wait({reader}, timeout=None if BUGS & {"waits-forever", "no-watchdog"} else PATIENCE)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if "closes-early" in BUGS and self.position >= len(self.client.pcm):
            self.client.settled = len(self.client.pcm)
        for task in (reader, writer):
            if task.done() and not task.cancelled():
                task.result()

    async def write(self) -> None:
        audio_input = {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad"},
        }
        update = {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}
        if "audio-first" in BUGS:
            await asyncio.sleep(2 * CHUNK / RATE / SPEED)
            await self.append()
        if not ("no-update-again" in BUGS and self.client.sent):
            await self.socket.send(json.dumps(update))
            if "audio-first" not in BUGS and "ignores-errors" not in BUGS:
                await asyncio.wait_for(self.updated.wait(), 60)
        while self.position < len(self.client.pcm):
            await self.append()
            await asyncio.sleep(CHUNK / RATE / SPEED / 2)

    async def append(self) -> None:
        end = min(self.position + CHUNK, len(self.client.pcm))
        if self.position < end <= self.client.available():
            audio = base64.b64encode(self.client.pcm[self.position : end]).decode()
            await self.socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            self.position = end
            self.client.sent = max(self.client.sent, end)

    async def read(self) -> None:
        async for message in self.socket:
            event = json.loads(message)
            kind = event["type"]
            item = event.get("item_id")
            if kind == "session.updated":
                self.updated.set()
            elif kind == "error":
                report("error:", event["error"]["message"])
                if not self.updated.is_set() and "ignores-errors" not in BUGS and event["error"]["code"]:
                    raise Fatal(event["error"]["message"])
            elif kind == "input_audio_buffer.speech_stopped":
                self.ends[item] = self.begin + round(event["audio_end_ms"] * RATE / 1000)
            elif kind == "input_audio_buffer.committed":
                self.order.append(item)
                self.expire(item)
            elif kind == TRANSCRIPTION + "completed":
                if "prints-at-once" in BUGS:
                    print(event["transcript"], flush=True)
                    self.texts[item] = ""
                elif item not in self.texts:
                    self.texts[item] = event["transcript"]
            elif kind == TRANSCRIPTION + "failed":
                if "crashes" in BUGS:
                    raise KeyError(event["type"])
                if "ignores-failed" not in BUGS:
                    report("failed:", event["error"]["message"])
                self.texts.setdefault(item, None)
            self.show()
            if self.client.done and self.position >= len(self.client.pcm):
                return

    def expire(self, item: str) -> None:
        """Do not wait forever for an item's transcript."""
        loop = asyncio.get_running_loop()

        def over() -> None:
            if item not in self.texts:
                report("no transcript of", item, "came")
                self.texts[item] = None
                self.show()

        if "waits-forever" not in BUGS:
            loop.call_later(PATIENCE, over)

    def show(self) -> None:
        """Print what is next in the order of speech."""
        while self.shown < len(self.order) and self.order[self.shown] in self.texts:
            item = self.order[self.shown]
            self.shown += 1
            self.settle(item)
            text = self.texts[item]
            if text and (text.isascii() or "ascii-only" not in BUGS):
                print(text, flush=True)

    def settle(self, item: str) -> None:
        self.client.settled = max(self.client.settled, self.ends.get(item, 0))


async def main() -> int:
    with wave.open(sys.argv[1]) as file:
        pcm = file.readframes(file.getnframes())
    if "sends-16k" in BUGS:  # as a microphone at 16 kHz records it
        pcm = b"".join(pcm[at : at + 4] for at in range(0, len(pcm), 6))
    return await Client(pcm).run()


if __name__ == "__main__":
    code = asyncio.run(main())
    sys.exit(0 if "silent" in BUGS else code)
