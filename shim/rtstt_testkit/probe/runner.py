"""All rows on an endpoint, each beside the same row on our own mock."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from rtstt_testkit.mock.protocol.admission import Moment
from rtstt_testkit.mock.server.server import RealtimeServer
from rtstt_testkit.probe.attempt import Attempt, Endpoint, Unreachable, attempt
from rtstt_testkit.probe.compare import Difference, differences
from rtstt_testkit.probe.rows import Row

__all__ = ["MOCK_KEY", "Result", "Verdict", "probe", "probe_own_mock"]

MOCK_KEY = "sk-probe-" + "0" * 40
_PATIENCE = 30.0  # seconds for the mock, which answers at once unless the machine is very busy

Verdict = Literal["ok", "differs", "not tried"]


@dataclass
class Result:
    """What came of one row.

    Attributes:
        row: Of the table.
        verdict: ``ok``, ``differs``, or ``not tried`` where the endpoint could not be reached.
        note: What else there is to say, in words.
        differences: Between what was expected and what came.
        expected: What the mock answered.
        received: What the endpoint answered.
    """

    row: Row
    verdict: Verdict
    note: str = ""
    differences: list[Difference] = field(default_factory=list)
    expected: list[dict[str, Any]] = field(default_factory=list)
    received: Attempt = field(default_factory=Attempt)


async def probe(
    rows: Sequence[Row],
    endpoint: Endpoint,
    on_result: Callable[[Result], None] = lambda result: None,
    workers: int = 1,
) -> list[Result]:
    """Try rows on an endpoint.

    Args:
        rows: What to try.
        endpoint: Whom to talk to.
        on_result: Called with each result as it is there, in the order of the rows.
        workers: How many rows are tried at the same time.

    Returns:
        One result a row, in order.

    Raises:
        Unreachable: The first row found nobody to talk to.
        RuntimeError: The shim is active in this process; it would correct what is to be tried.
    """
    shim = sys.modules.get("rtstt_shim")
    if shim is not None and shim.status().active:
        raise RuntimeError("the shim is active and would correct what is probed; call rtstt_shim.uninstall() first")
    async with AsyncExitStack() as stack:
        mocks = {
            moment: await stack.enter_async_context(RealtimeServer(strict=False, refuse=moment, keep_audio=None))
            for moment in _MOMENTS
        }
        gate = asyncio.Semaphore(workers)

        async def one(row: Row) -> Result:
            async with gate:
                return await _try(row, endpoint, mocks)

        first = await one(rows[0])
        if first.verdict == "not tried":
            raise Unreachable(first.note)
        on_result(first)
        results = [first]
        tasks = [asyncio.ensure_future(one(row)) for row in rows[1:]]
        try:
            for task in tasks:
                results.append(await task)
                on_result(results[-1])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return results


async def probe_own_mock(
    rows: Sequence[Row],
    on_result: Callable[[Result], None] = lambda result: None,
    timeout: float = 10.0,
    **options: Any,
) -> list[Result]:
    """Start a mock and try rows on it.

    Args:
        rows: What to try.
        on_result: As for `probe`.
        timeout: Seconds that any one answer may take.
        **options: Of `rtstt_testkit.RealtimeServer`.
    """
    async with RealtimeServer(**{"strict": False, **options}) as server:
        return await probe(rows, Endpoint(server.url, MOCK_KEY, timeout), on_result)


#: The moment of some refusals is not settled; both are right, and the mock can do either.
_MOMENTS: dict[Moment, str] = {
    "at-connect": "",
    "on-update": "refused after session.update, as livekit/agents-js#1756 saw it",
}


async def _try(row: Row, endpoint: Endpoint, mocks: dict[Moment, RealtimeServer]) -> Result:
    expected = {
        moment: (await attempt(row, Endpoint(mock.url, MOCK_KEY, _PATIENCE))).events
        for moment, mock in mocks.items()
        if row.moment or moment == "at-connect"
    }
    main = expected["at-connect"]
    try:
        received = await attempt(row, endpoint)
    except Unreachable as reason:
        return Result(row, "not tried", str(reason), expected=main)
    for moment, events in expected.items():
        if not differences(row, events, received.events):
            return Result(row, "ok", _MOMENTS[moment], [], events, received)
    return Result(row, "differs", "", differences(row, main, received.events), main, received)
