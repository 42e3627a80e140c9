"""Streams audio through the plugin as an application does: ``drive.py BASE_URL``, printing one line of JSON."""

import asyncio
import json
import math
import struct
import sys

import aiohttp

from livekit import rtc
from livekit.agents.types import APIConnectOptions
from livekit.plugins import openai

RATE = 24000


async def main(base_url: str) -> None:
    seen = {"events": {}, "transcript": None, "errors": []}
    async with aiohttp.ClientSession() as session:
        model = openai.STT(api_key="sk-made-up", base_url=base_url, model="gpt-4o-mini-transcribe")
        model._session = session
        stream = model.stream(conn_options=APIConnectOptions(max_retry=0))

        async def speak() -> None:
            for start in range(0, RATE * 3, RATE // 20):
                speaking = 0.2 * RATE <= start < 1.4 * RATE
                samples = [
                    int(9000 * math.sin(2 * math.pi * 180 * (start + i) / RATE)) if speaking else 0
                    for i in range(RATE // 20)
                ]
                stream.push_frame(rtc.AudioFrame(struct.pack(f"<{len(samples)}h", *samples), RATE, 1, len(samples)))
                await asyncio.sleep(0.005)

        async def listen() -> None:
            async for event in stream:
                name = event.type.name
                seen["events"][name] = seen["events"].get(name, 0) + 1
                if name == "FINAL_TRANSCRIPT":
                    seen["transcript"] = event.alternatives[0].text
                    return

        speaking = asyncio.create_task(speak())
        try:
            await asyncio.wait_for(listen(), 15)
        except Exception as error:
            seen["errors"].append({"name": type(error).__name__, "retryable": getattr(error, "retryable", None)})
        speaking.cancel()
        await stream.aclose()
    print(f"\nRESULT {json.dumps(seen)}", flush=True)


asyncio.run(main(sys.argv[1]))
