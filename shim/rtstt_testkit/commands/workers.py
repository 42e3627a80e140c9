"""The mock on more than one core: processes that share one port, each with its own server.

The system distributes connections among them (SO_REUSEPORT). A worker ends when its pipe to the parent closes, so
none outlives the command, however the command ends.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import signal
import socket
import time
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.commands._serving import announce, cannot_listen, collecting_rarely, make_server
from rtstt_testkit.mock.server.limits import raise_file_limit

__all__ = ["run"]

_STARTED = "started"
_STOP_SECONDS = 5.0  # for a worker to close its sessions, before it is killed


def run(args: argparse.Namespace) -> int:
    """Serve with ``args.workers`` processes until SIGINT or SIGTERM.

    Args:
        args: The command's arguments.

    Raises:
        UsageError: The system cannot share a port, or this one cannot be bound.
        CommandError: A worker ended.
    """
    make_server(args, worker=0)  # reports wrong arguments, once
    wake, woken = socket.socketpair()
    with _reserved(args.host, args.port) as reserved, wake, woken:
        args = argparse.Namespace(**{**vars(args), "port": reserved.getsockname()[1], "run": None})
        team = _Team(args)
        resource_tracker.ensure_running()  # multiprocessing would start it later, and unblock the signals then
        # Workers start with these signals blocked: Ctrl-C reaches the whole group, and the parent ends them.
        signals = {signal.SIGINT, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            for number in signals:
                signal.signal(number, lambda number, frame: wake.send(b"."))
            team.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            if team.started(woken):
                announce(make_server(args, worker=0))
                team.work(woken)
        finally:
            team.end()
    return 0


def _reserved(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the port, and does not listen."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise UsageError("this system cannot share a port between processes (SO_REUSEPORT); leave out --workers")
    try:
        if not 0 <= port <= 65535:  # getaddrinfo takes it modulo 65536
            raise OverflowError
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # First without sharing: with it, a port that other workers serve would seem to be free.
        for share in (False, True):
            reserved = socket.socket(family, kind)
            try:
                reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if share:
                    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                reserved.bind(address)
            except BaseException:
                reserved.close()
                raise
            if share:
                break
            reserved.close()
    except (OSError, OverflowError) as error:
        raise cannot_listen(host, port, error) from None
    return reserved


class _Team:
    """The workers.

    Args:
        args: The command's arguments, with the port.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._workers: list[tuple[SpawnProcess, Connection]] = []

    def start(self) -> None:
        """Start them."""
        context = multiprocessing.get_context("spawn")
        for number in range(1, self._args.workers + 1):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(self._args, number, theirs), name=f"worker {number}")
            worker.start()
            theirs.close()
            self._workers.append((worker, ours))

    def started(self, woken: socket.socket) -> bool:
        """Wait until all workers listen; return False when the command is to end before."""
        for worker, pipe in self._workers:
            if woken in wait([pipe, woken]):
                return False
            try:
                message = pipe.recv()
            except EOFError:
                raise self._ended(worker) from None
            if message != _STARTED:
                raise UsageError(message)
        return True

    def work(self, woken: socket.socket) -> None:
        """Wait until the command is to end."""
        sentinels = {worker.sentinel: worker for worker, _ in self._workers}
        ended = wait([*sentinels, woken])
        if woken not in ended:
            raise self._ended(next(sentinels[sentinel] for sentinel in ended if isinstance(sentinel, int)))

    def end(self) -> None:
        """Let the workers close their sessions; kill those that do not end in time."""
        for _, pipe in self._workers:
            pipe.close()
        deadline = time.monotonic() + _STOP_SECONDS
        for worker, _ in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()

    def _ended(self, worker: SpawnProcess) -> CommandError:
        worker.join()
        code = worker.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return CommandError(f"{worker.name} of {self._args.workers} {how}, so the mock has ended")


def _work(args: argparse.Namespace, number: int, pipe: Connection) -> None:
    """Serve as one worker."""
    raise_file_limit()
    asyncio.run(_serve(args, number, pipe))


async def _serve(args: argparse.Namespace, number: int, pipe: Connection) -> None:
    server = make_server(args, worker=number)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        await server.start()
    except OSError as error:
        pipe.send(str(cannot_listen(args.host, args.port, error)))
        return
    with collecting_rarely():
        try:
            loop.add_reader(pipe.fileno(), stop.set)  # the parent sends nothing: readable means closed
            with suppress(BrokenPipeError):
                pipe.send(_STARTED)
            await stop.wait()
        finally:
            loop.remove_reader(pipe.fileno())
            await server.stop()
