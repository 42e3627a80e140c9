"""``rtstt-shim run``: an unmodified program, its arguments, its environment, its end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtstt_core import cli
from rtstt_core.commands import activation
from rtstt_core.commands import run as command
from rtstt_core.commands.activation import BOOTSTRAP
from rtstt_testkit import routing
from rtstt_testkit.commands import route

RTSTT_SHIM = str(Path(sys.executable).parent / "rtstt-shim")
ROUTE = ["--route", "api.openai.com=127.0.0.1:9"]


def rtstt(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the console command."""
    return subprocess.run([RTSTT_SHIM, "run", *words], capture_output=True, text=True, timeout=60, **more)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "RTSTT_SHIM_DISABLE",
        "RTSTT_SHIM_REQUIRE",
        "RTSTT_SHIM_WRAPT",
        "PYTHONPATH",
        "NODE_OPTIONS",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


class Started(Exception):
    """What would have been executed."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run the command in this process up to the point where it becomes the program."""

    def execvpe(file: str, words: list[str], environ: dict[str, str]) -> None:
        raise Started(file, words, environ)

    def start(*words: str) -> tuple[str, list[str], dict[str, str]]:
        with pytest.raises(Started) as raised:
            cli.main(["run", *words])
        file, arguments, environ = raised.value.args
        return file, arguments, environ

    before = {number: signal.getsignal(number) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    monkeypatch.setattr(os, "execvpe", execvpe)
    yield start
    for number, handler in before.items():
        signal.signal(number, handler)


# -- the command line


def test_the_words_after_the_dashes_are_the_program_and_its_own_arguments(started: Any) -> None:
    file, words, _ = started("--", "python", "-c", "pass", "--no-shim", "--", "--route")
    assert file == "python"
    assert words == ["python", "-c", "pass", "--no-shim", "--", "--route"]


def test_the_dashes_may_be_left_out(started: Any) -> None:
    assert started("--no-shim", "python", "-m", "app", "--help")[1] == ["python", "-m", "app", "--help"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no COMMAND to run; for example: rtstt-shim run -- python app.py"),
        (["--"], "there is no COMMAND to run; for example: rtstt-shim run -- python app.py"),
        (["--route", "a=b:1"], "there is no COMMAND to run; for example: rtstt-shim run -- python app.py"),
        (["--route"], "argument --route: expected one argument; see `rtstt-shim run --help`"),
        (
            ["--route", "api.openai.com", "--", "true"],
            "--route api.openai.com: it is not HOST=HOST:PORT; write it like --route api.openai.com=127.0.0.1:8765",
        ),
        (
            ["--route", "api.openai.com=8765", "--", "true"],
            "--route api.openai.com=8765: '8765' is not HOST:PORT; write it like --route api.openai.com=127.0.0.1:8765",
        ),
        (
            ["--route", "api.openai.com=localhost:99999", "--", "true"],
            "--route api.openai.com=localhost:99999: port 99999 is not between 1 and 65535; "
            "write it like --route api.openai.com=127.0.0.1:8765",
        ),
        (
            ["--route", "https://api.openai.com=localhost:1", "--", "true"],
            "--route https://api.openai.com=localhost:1: 'https://api.openai.com' is not a host name; "
            "write it like --route api.openai.com=127.0.0.1:8765",
        ),
        (
            ["--route", "a=b:1", "--route", "A.=c:2", "--", "true"],
            "--route A.=c:2: a is routed twice; give each host once",
        ),
        (
            ["--route", "*=127.0.0.1:1", "--", "true"],
            "--route *=127.0.0.1:1: '*' is not a host name; write it like --route api.openai.com=127.0.0.1:8765",
        ),
        (
            ["--route", "a_b=127.0.0.1:1", "--", "true"],
            "--route a_b: not a host name: Codepoint U+005F at position 2 of 'a_b' not allowed; "
            "write it like --route api.openai.com=127.0.0.1:8765",
        ),
        (["--", ""], "cannot start '': the name of the program is empty; for example: rtstt-shim run -- python app.py"),
        (
            ["--", "no-such-command"],
            "cannot start no-such-command: No such file or directory; for example: rtstt-shim run -- python app.py",
        ),
        (
            [*ROUTE, "--", "no-such-command"],
            "cannot start no-such-command: No such file or directory; for example: rtstt-shim run -- python app.py",
        ),
    ],
)
def test_a_usage_error_is_one_sentence_and_exit_code_2(words: list[str], message: str) -> None:
    done = rtstt(*words)
    assert (done.stdout, done.stderr, done.returncode) == ("", f"rtstt-shim: {message}\n", 2)


def test_a_file_that_cannot_be_executed_is_named(tmp_path: Path) -> None:
    done = rtstt("--", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"rtstt-shim: cannot start {tmp_path}: Permission denied; ")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
@pytest.mark.parametrize(
    ("size", "message"),
    [
        (100, r"to .*: File too large; make room there, or set TMPDIR to another folder"),
        (0, r": no folder for temporary files can be written; set TMPDIR to one that can"),
    ],
)
def test_a_disk_without_room_for_a_certificate_is_one_sentence_and_exit_code_2(size: int, message: str) -> None:
    import resource

    done = subprocess.run(
        [sys.executable, "-B", "-m", "rtstt_core", "run", *ROUTE, "--", sys.executable, "-c", "print('started')"],
        # coverage, which would measure the child too, has no room for its file either
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.stdout, done.returncode) == ("", 2)
    assert re.fullmatch(rf"rtstt-shim: cannot write the certificate of a host ?{message}\n", done.stderr), done.stderr


def test_routing_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    monkeypatch.delitem(sys.modules, "rtstt_testkit.routing.relay", raising=False)
    monkeypatch.delattr(routing, "relay", raising=False)
    monkeypatch.delitem(sys.modules, "rtstt_testkit.commands.route", raising=False)
    assert cli.main(["run", *ROUTE, "--", "true"]) == 2
    assert capsys.readouterr().err == (
        "rtstt-shim: `rtstt-shim run --route` needs trustme, which the base install leaves out; "
        "install it with: pip install 'rtstt-shim[testkit]'\n"
    )


def test_help_says_what_cannot_be_reached() -> None:
    done = rtstt("--help")
    assert done.returncode == 0
    assert "rtstt-shim run [--route HOST=HOST:PORT]... [--no-shim] -- COMMAND..." in done.stdout
    assert "python -I, -E" in done.stdout
    assert "(-S)" in done.stdout


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["python", "-I", "app.py"], "-I"),
        (["/usr/bin/python3.12", "-S", "-m", "app"], "-S"),
        (["python3", "-uE", "app.py"], "-E"),
        (["python3", "-W", "error", "-X", "dev", "-sIc", "pass"], "-I"),
        (["pypy3", "-Werror", "--check-hash-based-pycs", "-E", "x"], "-E"),
    ],
)
def test_an_isolated_python_is_warned_of_in_one_sentence(
    words: list[str], flag: str, started: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    started("--", *words)
    assert capsys.readouterr().err == (
        f"rtstt-shim: python {flag} ignores PYTHONPATH or skips site: the shim will not be active in it\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["python", "app.py", "-I"],
        ["python", "-c", "pass", "-E"],
        ["python", "-mapp", "-S"],
        ["python", "-cI"],
        ["python", "-", "-I"],
        ["python", "--", "-I"],
        ["python", "-W", "ISE", "app.py"],
        ["python", "-X"],
        ["grep", "-I"],
        ["pythonista", "-I"],
        ["python"],
    ],
)
def test_other_commands_are_not_warned_of(words: list[str], started: Any, capsys: pytest.CaptureFixture[str]) -> None:
    started("--", *words)
    assert capsys.readouterr().err == ""


def test_a_tool_that_keeps_the_bootstrap_out_is_named(started: Any, capsys: pytest.CaptureFixture[str]) -> None:
    started("--", "/env/bin/opentelemetry-instrument", "python", "app.py")
    assert capsys.readouterr().err == (
        "rtstt-shim: opentelemetry-instrument keeps the shim out of the program it starts; put it first: "
        "opentelemetry-instrument rtstt-shim run -- COMMAND...\n"
    )


# -- the environment


def test_the_bootstrap_comes_before_the_users_path(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert started("--", "x")[2]["PYTHONPATH"] == str(BOOTSTRAP)
    monkeypatch.setenv("PYTHONPATH", "/a:/b c")
    assert started("--", "x")[2]["PYTHONPATH"] == f"{BOOTSTRAP}:/a:/b c"


@pytest.mark.parametrize("path", ["/opt/x:", ":/opt/x", "/a::/b", ":"])
def test_an_empty_entry_of_the_users_path_is_kept(path: str, started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", path)
    assert started("--", "x")[2]["PYTHONPATH"] == f"{BOOTSTRAP}:{path}"


@pytest.mark.parametrize(("path", "found"), [("/opt/x:", True), ("/opt/x", False), ("", False)])
def test_a_module_of_the_current_folder_is_found_as_without_the_command(path: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "mymod.py").touch()
    (tmp_path / "elsewhere").mkdir()
    program = tmp_path / "elsewhere" / "app.py"
    program.write_text("import importlib.util; print(importlib.util.find_spec('mymod') is not None)")
    words = [sys.executable, str(program)]
    environ = {**os.environ, "PYTHONPATH": path}
    with_us = rtstt("--", *words, cwd=tmp_path, env=environ)
    without = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (with_us.stdout, without.stdout) == (f"{found}\n", f"{found}\n")


def test_run_within_run_adds_nothing(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = started("--", "x")[2]
    for name in ("PYTHONPATH", "NODE_OPTIONS"):
        if name in first:
            monkeypatch.setenv(name, first[name])
    assert started("--", "x")[2] == {**os.environ, **first}


def test_no_shim_is_passed_on_to_the_children(started: Any) -> None:
    assert started("--no-shim", "--", "x")[2]["RTSTT_SHIM_DISABLE"] == "1"
    assert "RTSTT_SHIM_DISABLE" not in started("--", "x")[2]


def test_the_place_of_wrapt_is_passed_on_if_it_is_not_beside_the_shim(
    started: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wrapt

    home = Path(wrapt.__file__).parents[1]
    monkeypatch.setattr(activation, "HOME", tmp_path)
    assert started("--", "x")[2]["RTSTT_SHIM_WRAPT"] == str(home)
    monkeypatch.setattr(activation, "HOME", home)
    assert "RTSTT_SHIM_WRAPT" not in started("--", "x")[2]


@pytest.fixture
def preload(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The Node shim, in a folder that is hard to name in NODE_OPTIONS."""
    preload = tmp_path / 'Füße "und" Bücher' / "register.cjs"
    preload.parent.mkdir()
    preload.write_text("globalThis.preloaded = true;")
    monkeypatch.setattr(activation, "NODE_SHIM", preload)
    return preload


@pytest.fixture
def fake_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def make(answer: str) -> Path:
        node = tmp_path / "bin" / "node"
        node.parent.mkdir(exist_ok=True)
        node.write_text(f"#!/bin/sh\n{answer}\n")
        node.chmod(0o755)
        monkeypatch.setenv("PATH", f"{node.parent}{os.pathsep}{os.environ['PATH']}")
        return node

    return make


def test_node_options_are_kept_and_extended(
    started: Any, monkeypatch: pytest.MonkeyPatch, preload: Path, fake_node: Any
) -> None:
    fake_node("echo v20.0.0")
    quoted = str(preload).replace('"', r"\"")
    assert started("--", "x")[2]["NODE_OPTIONS"] == f'--require "{quoted}"'
    monkeypatch.setenv("NODE_OPTIONS", '--no-warnings --require "./my file.js"')
    environ = started("--", "x")[2]
    assert environ["NODE_OPTIONS"] == f'--no-warnings --require "{quoted}"'
    assert environ["RTSTT_SHIM_REQUIRE"] == '["./my file.js"]'


def test_a_path_without_a_space_is_not_quoted(
    started: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fake_node: Any
) -> None:
    """Bun reads NODE_OPTIONS too, and takes quotes for a part of the path."""
    fake_node("echo v20.0.0")
    preload = tmp_path / "100%#1" / "register.cjs"
    preload.parent.mkdir()
    preload.touch()
    monkeypatch.setattr(activation, "NODE_SHIM", preload)
    assert started("--", "x")[2]["NODE_OPTIONS"] == f"--require {preload}"


@pytest.mark.parametrize(
    ("words", "options", "readable"),
    [
        (["node", "--permission", "app.js"], "", False),
        (["node", "--experimental-permission", "--allow-fs-read=/srv/*", "app.js"], "", False),
        (["node", "-r", "./hook.js", "--permission", "app.js"], "", False),
        (["npm", "start"], "--permission", False),
        (["node", "--permission", "--allow-fs-read=*", "app.js"], "", True),
        (["node", "--permission", "--allow-fs-read=/srv/*", "--allow-fs-read={}/*", "app.js"], "", True),
        (["node", "--permission", "--allow-fs-read={}", "app.js"], "", True),
        (["node", "--permission", "app.js"], "--require x.js --allow-fs-read={}/", True),
        (["node", "app.js", "--permission"], "", True),
        (["node", "app.js"], "", True),
    ],
)
def test_a_node_that_may_not_read_the_shim_is_started_without_it_and_one_line_reports_it(
    words: list[str],
    options: str,
    readable: bool,
    started: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fake_node: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_node("echo v24.0.0")
    preload = tmp_path / "shim" / "register.cjs"
    preload.parent.mkdir()
    preload.touch()
    monkeypatch.setattr(activation, "NODE_SHIM", preload)
    monkeypatch.setenv("NODE_OPTIONS", options.format(preload.parent))
    environ = started("--", *(word.format(preload.parent) for word in words))[2]
    assert (f"--require {preload}" in environ["NODE_OPTIONS"]) is readable
    said = capsys.readouterr().err
    assert said == (
        ""
        if readable
        else "rtstt-shim: node --permission may not read the shim, which will not be active in Node programs; "
        f"add '--allow-fs-read={preload.parent}/*'\n"
    )


@pytest.mark.node
@pytest.mark.parametrize("granted", [True, False])
def test_a_node_with_permissions_runs_with_the_shim_or_without_it(granted: bool, tmp_path: Path) -> None:
    app = tmp_path / "app.cjs"
    app.write_text("console.log(Symbol.for('rtstt_shim.installed') in globalThis)")
    found = subprocess.run(["node", "--version"], capture_output=True, text=True)
    flag = "--permission" if int(found.stdout[1:3]) >= 24 else "--experimental-permission"
    grants = [f"--allow-fs-read={tmp_path}/*"]
    grants += [f"--allow-fs-read={activation.NODE_SHIM.parent}/*"] if granted else []
    done = rtstt("--", "node", flag, *grants, str(app))
    assert done.stdout == f"{granted}\n".lower()
    assert ("rtstt-shim: node --permission may not read the shim" in done.stderr) is not granted


def test_node_options_are_left_alone_while_there_is_no_preload(
    started: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(activation, "NODE_SHIM", tmp_path / "register.cjs")
    assert "NODE_OPTIONS" not in started("--", "x")[2]


def test_an_old_node_is_started_without_the_shim_and_one_line_reports_it(
    started: Any, preload: Path, fake_node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    node = fake_node("echo v18.20.1")
    for words in (["npm", "start"], ["node", "app.js"], [str(node), "app.js"]):
        assert "NODE_OPTIONS" not in started("--", *words)[2]
        assert capsys.readouterr().err == (
            f"rtstt-shim: {node} is Node 18; the shim needs 20 or newer and will not be active in Node programs\n"
        )


@pytest.mark.parametrize("answer", ["echo nonsense", "exit 1"])
def test_a_node_that_does_not_say_its_version_is_believed_to_be_new(
    started: Any, preload: Path, fake_node: Any, answer: str
) -> None:
    fake_node(answer)
    assert "NODE_OPTIONS" in started("--", "x")[2]


def test_without_node_the_preload_is_there_all_the_same(
    started: Any, preload: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "NODE_OPTIONS" in started("--", "x")[2]


@pytest.mark.node
def test_a_node_program_and_its_children_get_the_preload(
    monkeypatch: pytest.MonkeyPatch, preload: Path, started: Any, tmp_path: Path
) -> None:
    app = tmp_path / "an app.mjs"
    app.write_text(
        """
        import { fork } from 'node:child_process';
        import { Worker, isMainThread, parentPort } from 'node:worker_threads';
        import { fileURLToPath } from 'node:url';
        const here = fileURLToPath(import.meta.url);
        if (!isMainThread) parentPort.postMessage(globalThis.preloaded);
        else if (process.argv[2]) process.send(globalThis.preloaded);
        else {
          const worker = await new Promise((done) => new Worker(here).on('message', done));
          const forked = await new Promise((done) => fork(here, ['forked']).on('message', done));
          console.log(JSON.stringify([globalThis.preloaded, worker, forked]));
        }
        """
    )
    environ = started("--", "node", str(app))[2]
    done = subprocess.run(["node", str(app)], env=environ, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[true,true,true]\n", "")


# -- the program: its environment, its exit code, its signals

PROGRAM = """
import json, os, sys
print(json.dumps({
    "pid": os.getpid(), "shim": "rtstt_shim" in sys.modules and sys.modules["rtstt_shim"].status().active,
    "routed": __import__("socket").getaddrinfo("api.openai.com", 443)[0][4][0] if sys.argv[1:] == ["routed"] else None,
}))
"""


def test_without_routes_the_program_takes_our_place() -> None:
    child = subprocess.Popen(
        [RTSTT_SHIM, "run", "--", sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
    )
    said, _ = child.communicate(timeout=60)
    assert json.loads(said) == {"pid": child.pid, "shim": True, "routed": None}


@pytest.mark.parametrize("shim", [True, False])
def test_with_routes_the_program_is_routed_with_the_shim_or_without(shim: bool) -> None:
    flags = [] if shim else ["--no-shim"]
    done = rtstt(*ROUTE, *flags, "--", sys.executable, "-c", PROGRAM, "routed")
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert (said["shim"], said["routed"]) == (shim, "127.0.0.1")


@pytest.mark.parametrize("flags", [[], ROUTE], ids=["direct", "routed"])
def test_the_exit_code_is_the_programs(flags: list[str]) -> None:
    assert rtstt(*flags, "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_a_program_ended_by_a_signal_gives_128_and_its_number() -> None:
    assert rtstt(*ROUTE, "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


@pytest.mark.parametrize("flags", [[], ROUTE], ids=["direct", "routed"])
def test_a_closed_pipe_ends_the_program_as_it_would_under_a_shell(flags: list[str]) -> None:
    words = [RTSTT_SHIM, "run", *flags, "--", "yes"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"y\n"
        child.stdout.close()
        assert child.wait(timeout=60) in (-signal.SIGPIPE, 128 + signal.SIGPIPE)
        assert child.stderr.read() == b""


WAITING = """
import os, signal, sys, time
def end(number, frame):
    os.write(1, b"got %s\\n" % signal.Signals(number).name.encode())  # print() may be what was interrupted
    sys.exit(5)
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("flags", [[], ROUTE], ids=["direct", "routed"])
def test_signals_reach_the_program_which_decides_how_to_end(flags: list[str], number: signal.Signals) -> None:
    words = [RTSTT_SHIM, "run", *flags, "--", sys.executable, "-c", WAITING]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.stdout.read() == f"got {number.name}\n"
        assert child.wait(timeout=60) == 5


def test_ctrl_c_at_a_terminal_arrives_once() -> None:
    counting = """
import os, signal, sys, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
# print() may be what was interrupted.
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"interrupts: %d\\n" % len(got)), sys.exit(0)))
print("ready", flush=True)
while True:
    time.sleep(60)
"""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover
        words = [RTSTT_SHIM, "run", *ROUTE, "--", sys.executable, "-c", counting]
        os.execv(words[0], words)
    try:
        _read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        _read_until(terminal, b"^C")
        os.kill(pid, signal.SIGTERM)
        _read_until(terminal, b"interrupts: 1")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(terminal)


def _read_until(terminal: int, mark: bytes) -> None:
    said = b""
    while mark not in said:
        assert select.select([terminal], [], [], 60)[0], said
        try:
            said += os.read(terminal, 100)
        except OSError:  # everyone has left the terminal
            pytest.fail(f"{mark!r} is not in {said!r}")


def test_an_ignored_interrupt_stays_ignored() -> None:
    """As for a job that a script put in the background."""
    program = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    words = [RTSTT_SHIM, "run", *ROUTE, "--", sys.executable, "-c", program]
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *words], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "True\n"


def test_a_signal_that_comes_while_the_program_is_being_started_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    popen = subprocess.Popen

    def slow(*args: Any, **kwargs: Any) -> Any:
        if args[0][0] == "sleep":
            os.kill(os.getpid(), signal.SIGTERM)
        return popen(*args, **kwargs)

    monkeypatch.setattr(command.subprocess, "Popen", slow)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    assert cli.main(["run", *ROUTE, "--", "sleep", "60"]) == 128 + signal.SIGTERM
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_signal_passed_on_within_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "_terminal_reaches_child", lambda: False)
    ready = tmp_path / "ready"
    os.mkfifo(ready)

    def interrupt() -> None:
        ready.read_text()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert cli.main(["run", *ROUTE, "--", "sh", "-c", f"echo > {ready}; exec sleep 60"]) == 128 + signal.SIGINT
    thread.join()


@pytest.mark.parametrize("reached", [True, False])
def test_the_terminal_is_asked_whether_the_child_hears_it(monkeypatch: pytest.MonkeyPatch, reached: bool) -> None:
    terminal, other = pty.openpty()
    try:
        monkeypatch.setattr(command, "Path", lambda _: Path(os.ttyname(other)))
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() if reached else os.getpgrp() + 1)
        assert command._terminal_reaches_child() is reached
    finally:
        os.close(terminal)
        os.close(other)


def test_where_there_is_no_terminal_signals_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: Any) -> Any:
        raise OSError(errno.ENXIO, "No such device or address")

    monkeypatch.setattr(command.Path, "open", nothing)
    assert command._terminal_reaches_child() is False


def test_on_windows_the_program_is_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.os, "name", "nt")
    try:
        assert command._become([sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ)) == 7
    finally:
        monkeypatch.undo()


# -- end to end


def test_an_unmodified_program_talks_to_the_server_the_route_names() -> None:
    program = """
import asyncio, websockets
async def main():
    async with websockets.connect("wss://api.openai.com/v1/realtime?intent=transcription") as connection:
        print(await connection.recv())
asyncio.run(main())
"""
    from websockets.sync.server import serve

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            serve(lambda connection: connection.send(connection.request.headers["Host"]), "127.0.0.1", 0)
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        port = server.socket.getsockname()[1]
        done = rtstt("--route", f"api.openai.com=127.0.0.1:{port}", "--", sys.executable, "-c", program)
        assert (done.stdout, done.stderr) == ("api.openai.com\n", "")


def test_the_preload_for_routes_is_where_the_command_looks_for_it() -> None:
    assert route.NODE_PRELOAD.is_file()
