"""Run a Python or Node program with the shim active, without an edit.

  rtstt-shim run -- python app.py
  rtstt-shim run -- npm start
  rtstt-shim run --route api.openai.com=127.0.0.1:8765 -- python app.py

The program's children are reached too: subprocesses, multiprocessing (fork, spawn, forkserver), worker threads and
forked processes of Node. It works through PYTHONPATH (kept, one folder comes before it; your own sitecustomize still
runs) and NODE_OPTIONS (kept, an --import is added). The program's Python may be one in which rtstt-shim is not
installed.

Not reached: a Python told to ignore the environment (python -I, -E) or to skip site (-S), a process started with a
cleaned environment, Node older than 20. `import rtstt_shim` in the program, or `node --import`, does it there.
Another tool that starts programs (ddtrace-run) may stand before this command or after it; opentelemetry-instrument
has to stand before it.

--route sends the connections to HOST, whatever their port, to a server without TLS on this machine, such as
`rtstt-shim mock`; the program still sees HOST and a valid certificate. With --no-shim it is routed and nothing else:
so the bug can be seen.

The exit code is the program's (128 + n if signal n ended it); 2 if it could not be started. SIGINT and SIGTERM reach
the program.
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
from typing import TYPE_CHECKING, NoReturn

from rtstt_core.errors import UsageError

if TYPE_CHECKING:
    from rtstt_testkit.routing.environment import Address

__all__ = ["configure", "run"]

HOME = Path(__file__).resolve().parents[2]
"""The folder with the packages rtstt_shim and rtstt_testkit."""

BOOTSTRAP = HOME / "rtstt_core" / "bootstrap"
NODE_SHIM = HOME / "rtstt_core" / "node" / "register.mjs"
NODE_ROUTES = HOME / "rtstt_testkit" / "node" / "route.mjs"

# Its sitecustomize comes before ours in the program it starts, and does not run the next one.
_KEEPS_OUT = ("opentelemetry-instrument",)

EXAMPLE = "for example: rtstt-shim run -- python app.py"


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
        raise UsageError(f"there is no COMMAND to run; {EXAMPLE}")
    routes = _routes(args.route)
    environ = dict(os.environ)
    if args.no_shim:
        environ["RTSTT_SHIM_DISABLE"] = "1"
    _reach_python(environ, command)
    _reach_node(environ, command, [NODE_SHIM, NODE_ROUTES] if routes else [NODE_SHIM])
    if not routes:
        return _become(command, environ)
    from rtstt_testkit.routing import route_env

    with route_env(routes) as additions:
        return _supervise(command, {**environ, **additions})


# -- arguments


def _routes(texts: Sequence[str]) -> dict[str, Address]:
    if not texts:
        return {}
    if importlib.util.find_spec("trustme") is None:
        raise UsageError(
            "`rtstt-shim run --route` needs trustme, which the base install leaves out; "
            "install it with: pip install 'rtstt-shim[testkit]'"
        )
    from rtstt_testkit.routing.environment import canonical, parse_address

    routes: dict[str, Address] = {}
    for text in texts:
        host, equals, address = text.partition("=")
        try:
            if not equals:
                raise ValueError("it is not HOST=HOST:PORT")
            name, target = canonical(host), parse_address(address)
        except ValueError as error:
            raise UsageError(f"--route {text}: {error}; write it like --route api.openai.com=127.0.0.1:8765") from None
        if name in routes:
            raise UsageError(f"--route {text}: {name} is routed twice; give each host once")
        routes[name] = target
    return routes


# -- the environment


def _reach_python(environ: MutableMapping[str, str], command: Sequence[str]) -> None:
    """Put the bootstrap first on PYTHONPATH."""
    entries = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if str(BOOTSTRAP) not in entries:
        environ["PYTHONPATH"] = os.pathsep.join([str(BOOTSTRAP), *entries])
    wrapt = importlib.util.find_spec("wrapt")
    if wrapt and wrapt.origin and Path(wrapt.origin).parents[1] != HOME:
        environ["RTSTT_SHIM_WRAPT"] = str(Path(wrapt.origin).parents[1])
    flag = _isolating_flag(command)
    if flag:
        _warn(f"python {flag} ignores what this command relies on: the shim will not be active in it")
    tool = Path(command[0]).stem
    if tool in _KEEPS_OUT:
        _warn(f"{tool} keeps the shim out of the program it starts; put it first: {tool} rtstt-shim run -- COMMAND...")


def _isolating_flag(command: Sequence[str]) -> str | None:
    """Return the flag by which a ``python …`` command keeps the bootstrap out, if it visibly has one."""
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


def _reach_node(environ: MutableMapping[str, str], command: Sequence[str], preloads: Sequence[Path]) -> None:
    """Add our preloads to NODE_OPTIONS, unless there are none or Node is too old to know --import."""
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
    """Become the program, so that nothing stands between it and whoever started us."""
    if os.name == "nt":  # where exec starts a second process and ends the first
        return _supervise(command, environ)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these; a program started by us shall find them as a shell leaves them.
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
    with _arriving(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD) as signals:
        child = _start(command, environ)
        while child.poll() is None:
            for number in signals.recv(64):
                if number == signal.SIGTERM or (number == signal.SIGINT and not _terminal_reaches_child()):
                    child.send_signal(number)
    return 128 - child.returncode if child.returncode < 0 else child.returncode


def _supervise_on_windows(command: Sequence[str], environ: Mapping[str, str]) -> int:
    child = _start(command, environ)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the console sends it to the program, too
            return child.wait()


def _start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environ)
    except OSError as error:
        _cannot_start(command, error)


@contextlib.contextmanager
def _arriving(*numbers: signal.Signals) -> Iterator[socket.socket]:
    """Have signals arrive as bytes at a socket, so that none is lost between two looks at the child."""
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
    """Tell whether Ctrl-C at the terminal goes to the child as well as to us: passed on, it would arrive twice."""
    try:
        with Path("/dev/tty").open() as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _cannot_start(command: Sequence[str], error: OSError) -> NoReturn:
    raise UsageError(f"cannot start {command[0]}: {error.strerror}; {EXAMPLE}") from None
