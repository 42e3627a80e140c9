"""Run a Python or Node program with the shim active, without a change to its code.

  rtstt-shim run -- python app.py
  rtstt-shim run -- npm start
  rtstt-shim run --route api.openai.com=127.0.0.1:8765 -- python app.py

The shim is active in the program's children as well: subprocesses, multiprocessing (fork, spawn, forkserver), worker
threads and forked processes of Node. It works through two environment variables: PYTHONPATH (one folder is put before
what it holds; your own sitecustomize still runs) and NODE_OPTIONS (an --import is added). The program's Python may be
one in which rtstt-shim is not installed.

The shim is not active in a Python that ignores the environment (python -I, -E) or skips site (-S), in a process that
is started with a cleared environment, and in Node older than 20. Use `import rtstt_shim` in the program, or
`node --import`, there. Another tool that starts programs (ddtrace-run) may stand before or after this command;
opentelemetry-instrument must stand before it.

--route sends the connections to HOST, whatever their port, to a server without TLS on this machine, such as
`rtstt-shim mock`; the program still sees HOST and a valid certificate. Add --no-shim to see what happens without the
shim.

Exit codes: the program's, 128 + n if signal n ended it, 2 if it could not be started. SIGINT and SIGTERM are passed on
to the program.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import NoReturn

from rtstt_core.errors import UsageError
from rtstt_core.extras import load

__all__ = ["configure", "run"]

HOME = Path(__file__).resolve().parents[2]
"""The folder with our packages."""

BOOTSTRAP = HOME / "rtstt_core" / "bootstrap"
NODE_SHIM = HOME / "rtstt_core" / "node" / "register.mjs"

# Their sitecustomize comes before ours in the program they start, and does not run the next one.
_KEEPS_OUT = ("opentelemetry-instrument",)

_EXAMPLE = "for example: rtstt-shim run -- python app.py"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``rtstt-shim run``."""
    parser.usage = "rtstt-shim run [--route HOST=HOST:PORT]... [--no-shim] -- COMMAND..."
    parser.add_argument(
        "--route",
        action="append",
        default=[],
        metavar="HOST=HOST:PORT",
        help="send connections to the first HOST to the server at the second; repeatable",
    )
    parser.add_argument("--no-shim", action="store_true", help="leave the shim out (RTSTT_SHIM_DISABLE=1)")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")


def run(args: argparse.Namespace) -> int:
    """Run the program; without ``--route`` it takes the place of this process."""
    command: list[str] = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not command:
        raise UsageError(f"there is no COMMAND to run; {_EXAMPLE}")
    if not command[0]:
        raise UsageError(f"cannot start '': an empty name is no program; {_EXAMPLE}")
    environ = dict(os.environ)
    if args.no_shim:
        environ["RTSTT_SHIM_DISABLE"] = "1"
    _activate_in_python(environ, command)
    if not args.route:
        _activate_in_node(environ, command, [NODE_SHIM])
        return _become(command, environ)
    route = load("rtstt_testkit.commands.route", "rtstt-shim run --route", "testkit")
    with route.routed(args.route) as additions:
        _activate_in_node(environ, command, [NODE_SHIM, route.NODE_PRELOAD])
        return _supervise(command, {**environ, **additions})


# -- the environment


def _activate_in_python(environ: MutableMapping[str, str], command: Sequence[str]) -> None:
    """Put the bootstrap first on PYTHONPATH."""
    path = environ.get("PYTHONPATH", "")
    # Every entry is kept, and so is an empty one: it is the current folder. Without any entry there is none such.
    entries = path.split(os.pathsep) if path else []
    if str(BOOTSTRAP) not in entries:
        environ["PYTHONPATH"] = os.pathsep.join([str(BOOTSTRAP), *entries])
    wrapt = importlib.util.find_spec("wrapt")
    if wrapt and wrapt.origin and Path(wrapt.origin).parents[1] != HOME:
        environ["RTSTT_SHIM_WRAPT"] = str(Path(wrapt.origin).parents[1])
    flag = _isolating_flag(command)
    if flag:
        _warn(f"python {flag} ignores PYTHONPATH or skips site: the shim will not be active in it")
    tool = Path(command[0]).stem
    if tool in _KEEPS_OUT:
        _warn(f"{tool} keeps the shim out of the program it starts; put it first: {tool} rtstt-shim run -- COMMAND...")


def _isolating_flag(command: Sequence[str]) -> str | None:
    """Return the option of a ``python …`` command line that keeps the bootstrap from running, or None."""
    if not re.fullmatch(r"(python|pypy)[0-9.]*t?(\.exe)?", Path(command[0]).name):
        return None
    words = iter(command[1:])
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            return None
        if word.startswith("--"):
            continue
        for position, letter in enumerate(word[1:], 2):
            if letter in "ISE":
                return f"-{letter}"
            if letter in "cm":
                return None
            if letter in "WX":
                if position == len(word):
                    next(words, None)
                break
    return None


def _activate_in_node(environ: MutableMapping[str, str], command: Sequence[str], preloads: Sequence[Path]) -> None:
    """Add our preloads to NODE_OPTIONS, unless Node is too old to know --import."""
    options = environ.get("NODE_OPTIONS", "")
    # A URL has neither spaces nor quotes, so NODE_OPTIONS needs no quoting of its own.
    urls = [path.as_uri() for path in preloads if path.exists()]
    additions = [f"--import={url}" for url in urls if url not in options]
    if not additions:
        return
    named = Path(command[0]).stem.lower() in ("node", "nodejs")
    node = shutil.which(command[0] if named else "node", path=environ.get("PATH"))
    version = _node_version(node) if node else None
    if version and version < 20:
        _warn(f"{node} is Node {version}; the shim needs 20 or newer and will not be active in Node programs")
        return
    environ["NODE_OPTIONS"] = " ".join([*filter(None, [options]), *additions])


def _node_version(node: str) -> int | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20)
        if match := re.match(r"v(\d+)\.", answer.stdout):
            return int(match[1])
    return None


def _warn(sentence: str) -> None:
    print(f"rtstt-shim: {sentence}", file=sys.stderr)


# -- the program


def _become(command: list[str], environ: Mapping[str, str]) -> int:
    """Replace this process by the program, so that signals and the terminal are the program's own."""
    if os.name == "nt":  # where exec starts a second process and ends the first
        return _supervise(command, environ)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these; the program must find them as a shell leaves them.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        _cannot_start(command, error)


def _supervise(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the program as a child, pass SIGINT and SIGTERM on, and return its exit code."""
    if os.name == "nt":
        return _supervise_on_windows(command, environ)
    with _signals_at_socket(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD) as signals:
        child = _start(command, environ)
        while child.poll() is None:
            for number in signals.recv(64):
                if number == signal.SIGTERM or (number == signal.SIGINT and not _terminal_reaches_child()):
                    child.send_signal(number)
    return 128 - child.returncode if child.returncode < 0 else child.returncode


def _supervise_on_windows(command: Sequence[str], environ: Mapping[str, str]) -> int:
    child = _start(command, environ)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the console sends it to the program as well
            return child.wait()


def _start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environ)
    except OSError as error:
        _cannot_start(command, error)


@contextlib.contextmanager
def _signals_at_socket(*numbers: signal.Signals) -> Iterator[socket.socket]:
    """Receive signals as bytes from a socket, so that none is lost between two checks of the child."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = {number: signal.getsignal(number) for number in numbers}
        wakeup = signal.set_wakeup_fd(writer.fileno())
        try:
            for number, handler in before.items():
                # An ignored interrupt stays ignored, as under nohup or in the background of a script.
                if number == signal.SIGCHLD or handler is not signal.SIG_IGN:
                    signal.signal(number, lambda *_: None)
            yield reader
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)


def _terminal_reaches_child() -> bool:
    """Return whether Ctrl-C at the terminal reaches the child directly: passed on, it would arrive twice."""
    try:
        with Path("/dev/tty").open() as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _cannot_start(command: Sequence[str], error: OSError) -> NoReturn:
    raise UsageError(f"cannot start {command[0]}: {error.strerror}; {_EXAMPLE}") from None
