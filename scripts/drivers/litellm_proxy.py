"""Stream speech through LiteLLM's proxy, a process of its own, with the `openai` SDK as the proxy's client.

The proxy routes on the SDK's `model`, so it has to stay in the SDK's URL; the URL that the proxy connects to must not
have it. With --shim both processes have the shim: the proxy through ``rtstt-shim run``.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from argparse import Namespace
from contextlib import ExitStack, suppress
from pathlib import Path

from talk import KEY, MODEL, Outcome, arguments, client_events, reserved_port, run

READY = "Uvicorn running on"
STARTER = (sys.executable, "-m", "rtstt_core", "run", "--")


class Proxy:
    """The proxy, started with the first session and stopped with this process.

    Args:
        hosts: The hosts that it has a model for, separated by commas; the host is the model's name.
        shim: Whether it has the shim.
        starter: What starts its command; without it, it gets the shim and the routes as this process did.

    Attributes:
        port: The port it listens on.
        key: The key that its clients need.
    """

    def __init__(self, hosts: str, shim: bool, starter: tuple[str, ...] = STARTER) -> None:
        self._stack = ExitStack()
        self.port = self._stack.enter_context(reserved_port())
        config = Path(self._stack.enter_context(tempfile.TemporaryDirectory()), "config.yaml")
        models = [
            {
                "model_name": host,
                "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"https://{host}/v1", "api_key": KEY},
            }
            for host in hosts.split(",")
        ]
        config.write_text(json.dumps({"model_list": models}), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config)]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self.key = "sk-" + secrets.token_hex(32)
        env = {**os.environ, "LITELLM_MASTER_KEY": self.key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        if not shim:  # the same command routes it
            env["RTSTT_SHIM_DISABLE"] = "1"
        self._process = subprocess.Popen(
            [*starter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )
        atexit.register(self.close)
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(150):
            raise TimeoutError("the proxy is not ready after 150 seconds")
        if self._process.poll() is not None:
            raise RuntimeError(f"the proxy ended with {self._process.returncode}")

    def _read(self) -> None:
        """Copy its output to this process's stderr."""
        assert self._process.stdout
        for line in self._process.stdout:
            sys.stderr.write(line)
            sys.stderr.flush()
            if READY in line:
                self._ready.set()
        self._process.wait()
        self._ready.set()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stack.close()


_started = functools.cache(Proxy)


async def stream(args: Namespace, outcome: Outcome) -> None:
    from openai import AsyncOpenAI
    from websockets.exceptions import ConnectionClosed

    proxy = _started(args.hosts, args.shim)
    async with (
        AsyncOpenAI(api_key=proxy.key, base_url=f"http://127.0.0.1:{proxy.port}/v1") as sdk,
        sdk.realtime.connect(model=args.name, extra_query={"intent": "transcription"}) as connection,
    ):
        with suppress(ConnectionClosed):  # the answer has the reason
            for event in client_events(args):
                await connection.send(event)
        async for answer in connection:
            # After an error some versions send nothing more.
            if outcome.receive_event(answer.model_dump()) or outcome.error:
                return


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--hosts", default="api.openai.com", help="hosts with a model, separated by commas")
    parser.add_argument("--name", default="api.openai.com", help="the one to use")
    run(parser, "litellm", stream)


if __name__ == "__main__":
    main()
