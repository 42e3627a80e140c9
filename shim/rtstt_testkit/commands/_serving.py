"""What the mock's command and its workers share: the server that the arguments ask for, and its first line."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import ipaddress
import json
import sys
from collections.abc import Iterator

from rtstt_core.errors import UsageError
from rtstt_testkit.inspector.routes import ROUTES
from rtstt_testkit.mock.inspect.record import Event, SessionRecord
from rtstt_testkit.mock.script.script import Script
from rtstt_testkit.mock.server.server import RealtimeServer

__all__ = ["announce", "cannot_listen", "collecting_rarely", "make_server"]

# A process that may run for weeks keeps less than a test's server: the last 20 seconds of 1,000 sessions.
_KEEP_AUDIO = 1024 * 1024
_KEEP_SESSIONS = 1000
_FULL_COLLECTION = 200  # of Python's middle collections, each of some thousand objects that came to stay


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
    control = not args.no_control and worker is None
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
            control=control,
            routes=ROUTES if control else (),
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
    """Say where it listens, as the first line on stdout, and where the inspector is, as the second.

    A line on stderr says whom it lets in that is not this machine's own.

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
    if server.control:
        print(f"inspector at {server.base_url.removesuffix('v1')}_mock/", flush=True)


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
    from rtstt_testkit.mock.script.file import load_script

    return load_script(path)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
