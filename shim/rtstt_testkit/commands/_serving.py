"""What the mock's command and its workers share: the server that the arguments describe, its first line, its log."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import ipaddress
import json
import sys
from collections.abc import Iterator

from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.cassette.follower import Mode
from rtstt_testkit.cassette.player import Replay
from rtstt_testkit.inspector.line_writer import write_line
from rtstt_testkit.inspector.routes import ROUTES
from rtstt_testkit.inspector.view import work_out
from rtstt_testkit.mock.inspect.record import Event, SessionRecord
from rtstt_testkit.mock.script.script import Script
from rtstt_testkit.mock.server.server import RealtimeServer

__all__ = ["announce", "cannot_listen", "collecting_rarely", "make_server"]

# A process that may run for weeks keeps less than a test's server: the last 20 seconds of each of 1,000 sessions, and
# more of them while there are few.
_MIB = 1024 * 1024
_KEEP_AUDIO = _MIB
_KEEP_SESSIONS = 1000
_FULL_COLLECTION = 200  # of Python's middle collections, each of some thousand objects that stay


def make_server(args: argparse.Namespace, *, worker: int | None = None) -> RealtimeServer:
    """Return the server that the arguments describe.

    Args:
        args: The command's arguments.
        worker: The number of the worker, when several share the port.

    Raises:
        UsageError: An argument is wrong.
    """
    seed = args.seed
    if worker is not None and seed is not None:
        seed = f"{seed}/{worker}"  # the same in every run, but different in every worker
    control = not args.no_control and worker is None
    if control and not _is_loopback(args.host) and args.token is None and not args.no_token:
        raise UsageError(
            f"--host {args.host} opens the control API to other machines; protect it with --token SECRET, "
            "or choose --no-token or --no-control"
        )
    if args.keep_audio < 0:
        raise UsageError(f"--keep-audio {args.keep_audio} is out of range; choose 0 or more, in MiB")
    try:
        script = _load_script(args.script)
        return RealtimeServer(
            host=args.host,
            port=args.port,
            profile=args.profile,
            refuse=args.refuse,
            script=script,
            cassette=_replay(args),
            latency=args.latency,
            seed=seed,
            virtual_time=args.virtual_time,
            compression=args.compression,
            account=args.account,
            lenient_commit=args.lenient_commit,
            control=control,
            routes=ROUTES if control else (),
            token=args.token,
            allow_hosts=args.allow_host,
            allow_origins=args.allow_origin,
            keep_audio=_KEEP_AUDIO,
            share_audio=args.keep_audio * _MIB if control else 0,
            before_drop=work_out if control else None,
            keep_sessions=_KEEP_SESSIONS,
            max_sessions=args.max_sessions,
            observer=_log_json if args.json_log else None,
            reuse_port=worker is not None,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


@contextlib.contextmanager
def collecting_rarely() -> Iterator[None]:
    """Make full garbage collections rare.

    A full collection examines everything that a thousand sessions keep. It takes a sixth of a second, in which every
    event waits; the memory of ended sessions is freed without it. There is none at the end of the process.
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
    """Print the address as the first line on stdout, and that of the inspector as the second.

    If other machines can connect, a warning is printed on stderr.

    Args:
        server: A server that listens, or that stands for workers that do.

    Raises:
        CommandError: stdout cannot be written.
    """
    if not _is_loopback(server.host):
        access = "read and control its sessions under /_mock/" if server.control else "open sessions"
        print(
            f"rtstt-shim: --host {server.host} lets every machine that can connect to this one {access}; "
            "leave --host out to serve this machine only.",
            file=sys.stderr,
            flush=True,
        )
    try:
        print(f"listening on {server.url}", flush=True)
        if server.control:
            print(f"inspector at {server.base_url.removesuffix('v1')}_mock/", flush=True)
    except OSError as error:
        sys.stdout = None  # which Python would flush once more at its end
        raise CommandError(f"cannot write the address to stdout: {error.strerror}") from None


def cannot_listen(host: str, port: int, error: Exception) -> UsageError:
    """Return the error for an address that cannot be bound.

    Args:
        host: The address.
        port: The port.
        error: What binding it raised.
    """
    if isinstance(error, OverflowError):
        return UsageError(f"--port {port} is not a port; choose 0 to 65535")
    reason = getattr(error, "strerror", None) or str(error)
    return UsageError(f"cannot listen on {host} port {port}: {reason}; choose another --port or --host")


def _log_json(record: SessionRecord, event: Event) -> None:
    """Write an event to stderr as a line of JSON."""
    if sys.stderr is None:
        return
    line = {"session": record.number, "at": round(event.at, 6), "sender": event.sender, "event": event.data}
    try:
        write_line(sys.stderr.fileno(), json.dumps(line, separators=(",", ":")))
    except OSError:
        sys.stderr = None  # nobody reads it; Python would fail to flush it at the end, and exit with 120


def _replay(args: argparse.Namespace) -> Replay | None:
    """Return the recording that answers the clients; it begins again after its last session."""
    if args.cassette is None:
        if args.loose or args.ignore or args.timing != "instant":
            raise UsageError("--loose, --timing and --ignore are for a recording; add --cassette FILE")
        return None
    mode: Mode = "loose" if args.loose else "strict"
    return Replay(args.cassette, mode, args.timing, tuple(args.ignore), repeat=True)


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
