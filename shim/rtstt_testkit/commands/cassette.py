"""The work of ``rtstt-shim cassette``."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

from rtstt_core.errors import UsageError
from rtstt_core.masking import mask_json
from rtstt_testkit.cassette.edit import edit, hush, redacted, trimmed
from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.model import Cassette, RecordedSession
from rtstt_testkit.cassette.reader import load_cassette, read_lines
from rtstt_testkit.cassette.schema import schema
from rtstt_testkit.inspector.trace_reader import UnreadableTraceError, read_traces
from rtstt_testkit.recording.drift import compare_cassettes
from rtstt_testkit.recording.importing import import_recording

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Do the action and return the exit code."""
    if args.schema:
        print(json.dumps(schema(), indent=2))
        return 0
    if args.action is None:
        raise UsageError(f"name an action: {', '.join(_ACTIONS)}; see `rtstt-shim cassette --help`")
    try:
        return _ACTIONS[args.action](args)
    except (CassetteError, UnreadableTraceError) as error:
        raise UsageError(str(error)) from None


def _check(args: argparse.Namespace) -> int:
    cassette = load_cassette(args.file)
    print("\n".join(_contents(cassette)))
    for problem in cassette.problems:
        print(f"problem: {problem}")
    return 1 if cassette.problems else 0


def _contents(cassette: Cassette) -> Iterator[str]:
    header = cassette.header
    made = [str(header[name]) for name in ("client", "url") if header.get(name)]
    yield f"{cassette.path}: {_count(len(cassette.sessions), 'session')}{', ' if made else ''}{', '.join(made)}"
    for session in cassette.sessions:
        frames = sum(frame.count for frame in session.frames)
        yield (
            f"  session {session.number}: {session.target}, {_count(frames, 'event')}, "
            f"{session.seconds:.3f} s of audio, {_end(session)}"
        )
    for exchange in cassette.exchanges:
        yield f"  POST {exchange.path}: HTTP {exchange.status}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _end(session: RecordedSession) -> str:
    if session.failed is not None:
        return f"not connected: {session.failed}"
    if session.http_status not in (0, 101):
        return f"refused with HTTP {session.http_status}"
    if session.close is None:
        return "no end"
    close = session.close
    return f"closed {close.code}{f' {close.reason}' if close.reason else ''} by the {close.by}"


def _show(args: argparse.Namespace) -> int:
    trace = read_traces([args.file])
    for record in trace.sessions:
        print(repr(record))
        print("\n".join(f"  {line}" for line in record.timeline()))
    for note in trace.notes:
        print(f"problem: {note}")
    return 1 if trace.notes else 0


def _diff(args: argparse.Namespace) -> int:
    drifts = compare_cassettes(load_cassette(args.old), load_cassette(args.new), args.ignore)
    for drift in drifts:
        print(drift)
    print(f"{_count(len(drifts), 'difference')} between {args.old} and {args.new}")
    return 1 if drifts else 0


def _trim(args: argparse.Namespace) -> int:
    if args.until is not None and not (math.isfinite(args.until) and args.until >= 0):
        raise UsageError(f"--until {args.until} is not a number of seconds; choose 0 or more")
    sessions = set(args.session) if args.session else None
    if sessions is not None:
        known = {line["session"] for _, line in read_lines(args.file) if "session" in line}
        if missing := sessions - known:
            raise UsageError(f"{args.file} has no session {min(missing)}; it has {', '.join(map(str, sorted(known)))}")
    target = args.out or args.file
    removed = edit(args.file, target, trimmed(sessions, args.until))
    print(f"{target}: {_count(removed, 'line')} removed")
    return 0


def _redact(args: argparse.Namespace) -> int:
    if "" in args.word:
        raise UsageError("--word '' would mask between all letters; give a text")
    target: Path = args.out or args.file
    edit(args.file, target, redacted(mask_json, args.word), {"audio": False} if args.silence else None)
    if args.silence:
        hush(target)
    print(f"{target}: redacted")
    return 0


def _import(args: argparse.Namespace) -> int:
    target = args.out or args.file.with_suffix(".rtstt.jsonl")
    for note in import_recording(args.file, target, replace=args.force):
        print(f"note: {note}")
    print("\n".join(_contents(load_cassette(target))))
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": _check,
    "show": _show,
    "diff": _diff,
    "trim": _trim,
    "redact": _redact,
    "import": _import,
}
