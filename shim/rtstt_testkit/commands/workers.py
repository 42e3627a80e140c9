"""The mock on more than one core: processes that share one port, each with a server of its own.

The system spreads connections over them (SO_REUSEPORT). A worker ends when its pipe to the parent closes, so none
outlives the command, however that ends.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import signal
import socket
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.commands._serving import announce, cannot_listen, collecting_rarely, make_server

__all__ = ["run"]

_STARTED = "started"


def run(args: argparse.Namespace) -> int:
    """Serve with ``args.workers`` processes until SIGINT or SIGTERM.

    Args:
        args: The command's arguments.

    Raises:
        UsageError: The system cannot share a port, or this one cannot be listened on.
        CommandError: A worker ended.
    """
    make_server(args)  # what is wrong with the arguments is said here, once
    wake, woken = socket.socketpair()
    with _reserved(args.host, args.port) as reserved, wake, woken:
        args = argparse.Namespace(**{**vars(args), "port": reserved.getsockname()[1], "run": None})
        team = _Team(args)
        resource_tracker.ensure_running()  # which multiprocessing needs, and which unblocks the signals
        # Blocked in the workers from their first moment: Ctrl-C reaches the whole group, and the parent ends them.
        signals = {signal.SIGINT, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            for number in signals:
                signal.signal(number, lambda number, frame: wake.send(b"."))
            team.hire()
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
    """A socket that holds the port, and does not listen."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise UsageError("this system cannot share a port between processes (SO_REUSEPORT); leave out --workers")
    try:
        if not 0 <= port <= 65535:  # which getaddrinfo would cut to size
            raise OverflowError
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # Without sharing first: with it, a port that another group of workers serves would look free.
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
        args: The command's arguments, the port known.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._workers: list[tuple[SpawnProcess, Connection]] = []

    def hire(self) -> None:
        """Start them."""
        context = multiprocessing.get_context("spawn")
        for number in range(1, self._args.workers + 1):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(self._args, number, theirs), name=f"worker {number}")
            worker.start()
            theirs.close()
            self._workers.append((worker, ours))

    def started(self, woken: socket.socket) -> bool:
        """Wait until all of them listen; False when the command was told to end before."""
        for worker, pipe in self._workers:
            if woken in wait([pipe, woken]):
                return False
            try:
                said = pipe.recv()
            except EOFError:
                raise self._ended(worker) from None
            if said != _STARTED:
                raise UsageError(said)
        return True

    def work(self, woken: socket.socket) -> None:
        """Wait until the command is told to end."""
        sentinels = {worker.sentinel: worker for worker, _ in self._workers}
        ended = wait([*sentinels, woken])
        if woken not in ended:
            raise self._ended(next(sentinels[sentinel] for sentinel in ended if isinstance(sentinel, int)))

    def end(self) -> None:
        """Have them close their sessions, and wait until they have."""
        for _, pipe in self._workers:
            pipe.close()
        for worker, _ in self._workers:
            worker.join()

    def _ended(self, worker: SpawnProcess) -> CommandError:
        worker.join()
        code = worker.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return CommandError(f"{worker.name} of {self._args.workers} {how}, so the mock has ended")


def _work(args: argparse.Namespace, number: int, pipe: Connection) -> None:
    """One worker's life."""
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
            loop.add_reader(pipe.fileno(), stop.set)  # the parent says nothing: readable is closed
            with suppress(BrokenPipeError):
                pipe.send(_STARTED)
            await stop.wait()
        finally:
            loop.remove_reader(pipe.fileno())
            await server.stop()
