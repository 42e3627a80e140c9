"""The mock's command with the inspector."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from talking import TIMEOUT, client, refused, update


@contextmanager
def mock_command(arguments: Sequence[str] = ()) -> Iterator[tuple[SimpleNamespace, list[str]]]:
    """A running command, as what the clients need of a server; and its lines on stderr, once it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rtstt_core", "mock", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        url = process.stdout.readline().removeprefix("listening on ").strip()
        second = process.stdout.readline().strip() if "--no-control" not in arguments else ""
        yield SimpleNamespace(url=url, second=second), lines
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=TIMEOUT)
        lines += errors.splitlines()
        assert process.returncode == 0


def test_the_second_line_is_the_address_of_the_page() -> None:
    with mock_command() as (mock, errors):
        assert mock.second == f"inspector at {mock.url.replace('ws:', 'http:').removesuffix('v1/realtime')}_mock/"
        with urllib.request.urlopen(mock.second.removeprefix("inspector at "), timeout=TIMEOUT) as response:
            assert b"rtstt-shim inspector" in response.read()
        refused(mock)
    assert errors == []  # a pipe gets no lines


def test_without_the_control_api_there_is_one_line() -> None:
    with mock_command(["--no-control"]) as (mock, _):
        assert mock.url.startswith("ws://")


@pytest.mark.parametrize("log", ["text", "json"])
def test_lines_are_written_as_asked_for(log: str) -> None:
    with mock_command(["--log", log]) as (mock, errors):
        refused(mock)
        with client(mock) as one:
            one.send(update())
            one.wait("session.updated")
            # and the command ends while the session is open
    if log == "json":
        assert [json.loads(line)["kind"] for line in errors] == ["connected", "refused", "connected", "closed"]
    else:
        assert [line.split()[2] for line in errors] == ["connected", "refused", "connected", "closed"]


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="the platform cannot make a pipe smaller")
@pytest.mark.parametrize("log", ["text", pytest.param("json", marks=pytest.mark.heavy)])
def test_a_log_that_nobody_reads_blocks_no_session(log: str) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [sys.executable, "-m", "rtstt_core", "mock", "--log", log], stdout=subprocess.PIPE, stderr=writing, text=True
    )
    os.close(writing)
    try:
        assert process.stdout is not None
        mock = SimpleNamespace(url=process.stdout.readline().removeprefix("listening on ").strip())
        for _ in range(40):  # 200 bytes or more each
            refused(mock)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(reading)


def test_a_report_is_written_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with mock_command(["--report", str(path)]) as (mock, _):
        refused(mock)
    assert '"code":"invalid_model"' in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "/no/such/folder/x.html"], "cannot write /no/such/folder/x.html: No such file or directory"),
        (["--keep-audio", "-1"], "--keep-audio -1 is out of range; choose 0 or more, in MiB"),
        (["--workers", "2", "--report", "x.html"], "--log and --report need the sessions in one process"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rtstt_core", "mock", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
