"""Run rows on an endpoint, and each of them on a mock for comparison."""

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
_SILENT_ROWS = 3  # rows without an answer after which the rest is not tried
_MOCK_TIMEOUT = 30.0  # seconds; the mock answers at once unless the machine is very busy

Verdict = Literal["ok", "differs", "not tried"]


@dataclass
class Result:
    """The result of one row.

    Attributes:
        row: The row.
        verdict: ``ok``, ``differs``, or ``not tried`` if the endpoint could not be reached.
        note: A remark for the reader, or empty.
        differences: The differences.
        expected: The mock's events.
        received: The endpoint's events.
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
    """Run rows on an endpoint.

    Args:
        rows: The rows.
        endpoint: The endpoint.
        on_result: Called with each result, in the order of the rows.
        workers: The number of rows that run at the same time.

    Returns:
        One result for each row, in order.

    Raises:
        Unreachable: The endpoint did not answer to the first row.
        RuntimeError: The shim is active in this process; it would correct the URLs under test.
    """
    shim = sys.modules.get("rtstt_shim")
    if shim is not None and shim.status().active:
        raise RuntimeError("the shim is active and would correct the tested URLs; call rtstt_shim.uninstall() first")
    async with AsyncExitStack() as stack:
        mocks = {
            moment: await stack.enter_async_context(RealtimeServer(strict=False, refuse=moment, keep_audio=None))
            for moment in _MOMENTS
        }
        gate = asyncio.Semaphore(workers)

        async def one(row: Row) -> Result:
            async with gate:
                return await _run_row(row, endpoint, mocks)

        first = await one(rows[0])
        if first.verdict == "not tried":
            raise Unreachable(first.note)
        on_result(first)
        results = [first]
        tasks = [asyncio.ensure_future(one(row)) for row in rows[1:]]
        try:
            for row, task in zip(rows[1:], tasks, strict=True):
                if len(results) >= _SILENT_ROWS and all(map(_is_silent, results[:_SILENT_ROWS])):
                    results.append(Result(row, "not tried", f"the server was silent in the first {_SILENT_ROWS} rows"))
                else:
                    results.append(await task)
                on_result(results[-1])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return results


def _is_silent(result: Result) -> bool:
    """Return whether an endpoint sent nothing at all after the upgrade."""
    return [event["type"] for event in result.received.events] == ["(upgrade)", "(silence)"]


async def probe_own_mock(
    rows: Sequence[Row],
    on_result: Callable[[Result], None] = lambda result: None,
    timeout: float = 10.0,
    **options: Any,
) -> list[Result]:
    """Start a mock and run rows on it.

    Args:
        rows: The rows.
        on_result: As for `probe`.
        timeout: Seconds to wait for each event.
        **options: Arguments of `rtstt_testkit.RealtimeServer`.
    """
    async with RealtimeServer(**{"strict": False, **options}) as server:
        return await probe(rows, Endpoint(server.url, MOCK_KEY, timeout), on_result)


#: It is not known when the endpoint sends some refusals; either moment is accepted.
_MOMENTS: dict[Moment, str] = {
    "at-connect": "",
    "on-update": "refused after session.update, as livekit/agents-js#1756 saw it",
}


async def _run_row(row: Row, endpoint: Endpoint, mocks: dict[Moment, RealtimeServer]) -> Result:
    expected = {
        moment: (await attempt(row, Endpoint(mock.url, MOCK_KEY, _MOCK_TIMEOUT))).events
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
