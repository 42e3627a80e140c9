"""Run a Python or Node program with the shim active, without a change to its code.

  rtstt-shim run -- python app.py
  rtstt-shim run -- npm start
  rtstt-shim run --route api.openai.com=127.0.0.1:8765 -- python app.py

The shim is active in the program's children as well: subprocesses, multiprocessing (fork, spawn, forkserver), worker
threads and forked processes of Node. It works through two environment variables: PYTHONPATH (one folder is added in
front; your own sitecustomize still runs) and NODE_OPTIONS (it has a single --require, because programs such as `next
dev` keep only one; the modules that you require are named in RTSTT_SHIM_REQUIRE and still run). rtstt-shim need not be
installed in the program's Python.

The shim is not active in a Python that ignores the environment (python -I, -E) or skips site (-S), in a process that
is started with a cleared environment, in Node older than 20, and in a `node --permission` that may not read the shim.
In these cases use `import rtstt_shim` in the program, or `node --require "$(rtstt-shim node-path)/register.cjs"`.

Another tool that starts programs (ddtrace-run) may come before or after this command; opentelemetry-instrument must
come before it.

With RTSTT_SHIM_TRACE=FILE in the environment, the program's realtime connections are written to a file, without secrets
and audio; `rtstt-shim inspect FILE` shows it.

--route redirects connections to HOST, whatever their port, to a server without TLS on this machine, such as
`rtstt-shim mock`; the program still sees HOST and a valid certificate. Add --no-shim to see what happens without the
shim.

Exit codes: the program's, 128 + n if signal n ended it, 2 if it could not be started. SIGINT and SIGTERM are passed on
to the program.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from rtstt_core.commands import activation
from rtstt_core.commands.activation import activate_in_node, activate_in_python
from rtstt_core.errors import UsageError
from rtstt_core.extras import load

__all__ = ["configure", "run", "supervise"]

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
    parser.add_argument("--no-shim", action="store_true", help="do not activate the shim (RTSTT_SHIM_DISABLE=1)")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")


def run(args: argparse.Namespace) -> int:
    """Run the program; without ``--route`` it takes the place of this process."""
    command: list[str] = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not command:
        raise UsageError(f"there is no COMMAND to run; {_EXAMPLE}")
    if not command[0]:
        raise UsageError(f"cannot start '': the name of the program is empty; {_EXAMPLE}")
    environ = dict(os.environ)
    if args.no_shim:
        environ["RTSTT_SHIM_DISABLE"] = "1"
    activate_in_python(environ, command)
    if not args.route:
        activate_in_node(environ, command, activation.NODE_SHIM)
        return _become(command, environ)
    route = load("rtstt_testkit.commands.route", "rtstt-shim run --route", "testkit")
    with route.routed(args.route) as additions:
        activate_in_node(environ, command, activation.NODE_SHIM, route.NODE_PRELOAD)
        return supervise(command, {**environ, **additions})


# -- the program


def _become(command: list[str], environ: Mapping[str, str]) -> int:
    """Replace this process by the program, so that signals and the terminal are the program's own."""
    if os.name == "nt":  # where exec starts a second process and ends the first
        return supervise(command, environ)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these; the program must find them as a shell leaves them.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        _cannot_start(command, error)


def supervise(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program as a child, pass SIGINT and SIGTERM on, and return its exit code.

    Args:
        command: The program and its arguments.
        environ: Its environment.

    Raises:
        UsageError: It cannot be started.
    """
    if os.name == "nt":
        return _wait_on_windows(command, environ)
    with _signals_at_socket(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD) as signals:
        child = _start(command, environ)
        while child.poll() is None:
            for number in signals.recv(64):
                if number == signal.SIGTERM or (number == signal.SIGINT and not _terminal_reaches_child()):
                    child.send_signal(number)
    return 128 - child.returncode if child.returncode < 0 else child.returncode


def _wait_on_windows(command: Sequence[str], environ: Mapping[str, str]) -> int:
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
