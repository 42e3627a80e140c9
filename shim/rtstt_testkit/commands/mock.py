"""Serve a mock of OpenAI's Realtime transcription endpoint until interrupted.

The first line on stdout is `listening on ws://HOST:PORT/v1/realtime`. A key that begins with `sk-` or `ek_`
is accepted, unless it contains `bad` or `invalid`.

With --workers, N processes share the port, and the system spreads connections over them. What would need a state in
common is each worker's own: every worker hands out the script from its beginning, numbers its own sessions (for faults
and --json-log), and knows only the client secrets that it made; the control API and --virtual-time are not to be had.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import contextlib
import gc
import ipaddress
import json
import signal
import sys
from collections.abc import Iterator

from rtstt_shim.errors import UsageError
from rtstt_testkit.mock.record import Event, SessionRecord
from rtstt_testkit.mock.script import Script
from rtstt_testkit.mock.server import RealtimeServer

__all__ = ["announce", "cannot_listen", "collecting_rarely", "configure", "make_server", "run"]

# A process that may run for weeks keeps less than a test's server: the last 20 seconds of 1,000 sessions.
_KEEP_AUDIO = 1024 * 1024
_KEEP_SESSIONS = 1000
_FULL_COLLECTION = 200  # of Python's middle collections, each of some thousand objects that came to stay


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--profile", default="openai", help="openai (default), gateway or azure")
    parser.add_argument(
        "--refuse",
        default="at-connect",
        help="when a transcription session with a model is refused: at-connect (default) or on-update",
    )
    parser.add_argument("--script", metavar="FILE", help="what to answer and what goes wrong: TOML, .yaml or .json")
    parser.add_argument(
        "--script-schema", action="store_true", help="print the JSON schema of such a file and serve nothing"
    )
    parser.add_argument(
        "--latency", default="instant", help="instant (default), or capture: as measured on the endpoint"
    )
    parser.add_argument("--seed", help="make identifiers, and what happens by chance, the same in every run")
    parser.add_argument("--virtual-time", action="store_true", help="time moves only by POST /_mock/advance")
    parser.add_argument(
        "--max-sessions",
        type=int,
        default=10_000,
        metavar="N",
        help="sessions open at once, a worker (default: %(default)s)",
    )
    parser.add_argument("--compression", action="store_true", help="negotiate permessage-deflate, as the endpoint does")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes to serve with (default: 1)")
    parser.add_argument("--no-control", action="store_true", help="leave out the HTTP control API under /_mock/")
    parser.add_argument("--json-log", action="store_true", help="write every event as a line of JSON to stderr")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    if args.script_schema:
        from rtstt_testkit.mock.script_schema import schema

        print(json.dumps(schema(), indent=2))
        return 0
    if args.workers < 1:
        raise UsageError(f"--workers {args.workers} is no number of processes; choose 1 or more")
    if args.workers == 1:
        return asyncio.run(_serve(make_server(args)))
    if args.virtual_time:
        raise UsageError("--virtual-time needs one clock, and each worker has its own; leave out --workers")
    from rtstt_testkit.commands import workers

    return workers.run(args)


def make_server(args: argparse.Namespace, *, worker: int | None = None) -> RealtimeServer:
    """Make the server that the arguments ask for.

    Args:
        args: The command's arguments.
        worker: Which one of several that share the port.

    Raises:
        UsageError: They ask for something that there is not.
    """
    seed = args.seed
    if worker is not None and seed is not None:
        seed = f"{seed}/{worker}"  # the same in every run, and not the same in every worker
    try:
        script = _load_script(args.script)
        return RealtimeServer(
            host=args.host,
            port=args.port,
            profile=args.profile,
            refuse=args.refuse,
            script=script,
            latency=args.latency,
            seed=seed,
            virtual_time=args.virtual_time,
            compression=args.compression,
            control=not args.no_control and worker is None,
            keep_audio=_KEEP_AUDIO,
            keep_sessions=_KEEP_SESSIONS,
            max_sessions=args.max_sessions,
            observer=_log if args.json_log else None,
            reuse_port=worker is not None,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


@contextlib.contextmanager
def collecting_rarely() -> Iterator[None]:
    """Have Python look through everything for garbage once in many sessions, not several times a minute.

    To look through what a thousand sessions keep takes a sixth of a second, in which every event waits; and twice as
    long once more at the end of the process, where all of it goes anyway: so not there at all.
    """
    thresholds = gc.get_threshold()
    atexit.register(gc.freeze)
    gc.freeze()  # nothing that was imported is garbage
    gc.set_threshold(*thresholds[:2], _FULL_COLLECTION)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def announce(server: RealtimeServer) -> None:
    """Say that it listens, as the first line on stdout; on stderr, whom it lets in that is not this machine's own.

    Args:
        server: One that listens, or that stands for those that do.
    """
    if not _is_loopback(server.host):
        read = "read and steer its sessions under /_mock/" if server.control else "open sessions"
        print(
            f"rtstt-shim: --host {server.host} lets whoever reaches this machine {read}; "
            "leave --host out to serve this machine alone.",
            file=sys.stderr,
            flush=True,
        )
    print(f"listening on {server.url}", flush=True)


def cannot_listen(host: str, port: int, error: Exception) -> UsageError:
    """Say why an address cannot be listened on.

    Args:
        host: The address.
        port: The port.
        error: What binding it raised.
    """
    if isinstance(error, OverflowError):
        return UsageError(f"--port {port} is not a port; choose 0 to 65535")
    reason = getattr(error, "strerror", None) or str(error)
    return UsageError(f"cannot listen on {host} port {port}: {reason}; choose another --port or --host")


def _log(record: SessionRecord, event: Event) -> None:
    line = {"session": record.number, "at": round(event.at, 6), "sender": event.sender, "event": event.data}
    print(json.dumps(line, separators=(",", ":")), file=sys.stderr, flush=True)


def _load_script(path: str | None) -> Script | None:
    if path is None:
        return None
    from rtstt_testkit.mock.script_file import load_script

    return load_script(path)


async def _serve(server: RealtimeServer) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends it
            loop.add_signal_handler(number, stop.set)
    try:
        await server.start()
    except (OSError, OverflowError) as error:
        raise cannot_listen(server.host, server.port, error) from None
    announce(server)
    with collecting_rarely():
        try:
            await stop.wait()
        finally:
            await server.stop()
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
