"""The recordings of ``rtstt-shim probe``: record an endpoint, replay it, and compare the mock with recordings."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.cassette.player import Replay
from rtstt_testkit.cassette.reader import load_cassette, read_lines
from rtstt_testkit.mock.server.threaded import ThreadedRealtimeServer
from rtstt_testkit.probe.attempt import Endpoint
from rtstt_testkit.probe.rows import Row
from rtstt_testkit.probe.runner import MOCK_KEY
from rtstt_testkit.recording.recorder import IncompleteRecordingError, Recorder
from rtstt_testkit.recording.reenact import mock_drift

__all__ = ["check_folder", "recorded_settings", "recording", "replaying"]

_SETTINGS = ("compatible", "conversation", "account", "azure")


@contextmanager
def recording(args: argparse.Namespace, endpoint: Endpoint | None, rows: Sequence[Row]) -> Iterator[Endpoint | None]:
    """Record an endpoint, if --record is given.

    Args:
        args: The command's arguments.
        endpoint: The endpoint; None for a mock started for this.
        rows: The rows.

    Yields:
        The endpoint to probe.

    Raises:
        UsageError: The file cannot be written, or there is no endpoint.
        CommandError: The recording is not complete.
    """
    if args.record is None:
        yield endpoint
        return
    if endpoint is None:
        raise UsageError("--record records an endpoint; give its URL, or --live")
    settings = {name: getattr(args, name) for name in _SETTINGS}
    about = {"probe": {**settings, "rows": [row.name for row in rows]}}
    try:
        recorder = Recorder(args.record, to=endpoint.url, client="rtstt-shim probe", replace=args.force, about=about)
        with recorder:
            path = urlsplit(endpoint.url).path
            yield endpoint._replace(url=f"ws://127.0.0.1:{recorder.address[1]}{path}")
    except IncompleteRecordingError as error:
        raise CommandError(str(error)) from None
    except CassetteError as error:
        raise UsageError(str(error)) from None


def recorded_settings(args: argparse.Namespace) -> set[str] | None:
    """Set the arguments to those of the recording to replay.

    Args:
        args: The command's arguments.

    Returns:
        The names of the rows that were recorded; None if no recording is replayed.

    Raises:
        UsageError: The file is not a recording of ``rtstt-shim probe``, or an argument does not go with it.
    """
    path: Path | None = args.replay
    if path is None:
        return None
    if args.url is not None or args.live or args.record is not None:
        raise UsageError("--from replays a recording; leave out URL, --live and --record")
    try:
        _, header = next(iter(read_lines(path)))
    except CassetteError as error:
        raise UsageError(str(error)) from None
    settings: Any = header.get("probe")
    if not isinstance(settings, dict) or not isinstance(settings.get("rows"), list):
        raise UsageError(
            f"{path} is not a recording of a probe; record one with `rtstt-shim probe --live --record FILE`"
        )
    for name in _SETTINGS:
        setattr(args, name, settings.get(name))
    return {str(name) for name in settings["rows"]}


@contextmanager
def replaying(args: argparse.Namespace, endpoint: Endpoint | None) -> Iterator[Endpoint | None]:
    """Serve a recording in place of the endpoint, if --from is given.

    Args:
        args: The command's arguments.
        endpoint: The endpoint otherwise.

    Yields:
        The endpoint to probe.

    Raises:
        UsageError: The recording cannot be replayed.
    """
    if args.replay is None:
        yield endpoint
        return
    try:
        server = ThreadedRealtimeServer(cassette=Replay(args.replay, mode="loose"), strict=False)
    except CassetteError as error:
        raise UsageError(str(error)) from None
    with server:
        path = "/v1/realtime" if args.azure is None else "/openai/v1/realtime"
        yield Endpoint(
            f"ws://127.0.0.1:{server.port}{path}",
            MOCK_KEY,
            args.timeout,
            (),
            "openai" if args.azure is None else "azure",
            args.account,
        )


def check_folder(folder: Path) -> int:
    """Compare the mock with every recording in a folder, print the differences, and return the exit code.

    Args:
        folder: The folder, searched with its subfolders.

    Raises:
        UsageError: There is no recording in it, or one cannot be read.
    """
    paths = sorted(folder.rglob("*.jsonl"))
    if not paths:
        raise UsageError(f"{folder} has no recording; record one with `rtstt-shim record --out {folder}/a.rtstt.jsonl`")
    differing = 0
    for path in paths:
        try:
            cassette = load_cassette(path)
            drifts = mock_drift(cassette)
        except CassetteError as error:
            raise UsageError(str(error)) from None
        differing += bool(drifts)
        print(f"{path}: {'the mock answers the same' if not drifts else 'the mock differs'}", flush=True)
        for drift in drifts:
            print(f"  {drift}", flush=True)
    print(f"{len(paths)} recordings: the mock differs from {differing}")
    return 1 if differing else 0
