"""Run rows on an endpoint, and each of them on a mock for comparison."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from rtstt_testkit.mock.protocol.admission import Account, Profile, RefusalMoment
from rtstt_testkit.mock.server.server import RealtimeServer
from rtstt_testkit.probe.attempt import Attempt, Endpoint, Unreachable, attempt
from rtstt_testkit.probe.compare import Difference, differences
from rtstt_testkit.probe.rows import Row

__all__ = ["MOCK_KEY", "NotApplicable", "Result", "Verdict", "probe", "probe_own_mock"]

MOCK_KEY = "sk-probe-" + "0" * 40
_SILENT_ROWS = 3  # rows without an answer after which the rest is not tried
_MOCK_TIMEOUT = 30.0  # seconds; the mock answers at once unless the machine is very busy

Verdict = Literal["ok", "differs", "not tried", "not applicable"]


class NotApplicable(Exception):
    """No row is for the endpoint; the message says what the first one needs."""


@dataclass
class Result:
    """The result of one row.

    Attributes:
        row: The row.
        verdict: ``ok``, ``differs``, ``not tried`` if the endpoint could not be reached, or ``not applicable`` if the
            row is for another kind of endpoint or for an account in another state.
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
        NotApplicable: No row is for such an endpoint.
        Unreachable: The endpoint did not answer to the first row.
        RuntimeError: The shim is active in this process; it would correct the URLs under test.
    """

    async def answers(row: Row) -> Endpoint | None:
        return endpoint if row.applies_to(endpoint.profile, endpoint.account) else None

    if not any(row.applies_to(endpoint.profile, endpoint.account) for row in rows):
        raise NotApplicable(f"none of these rows applies to the endpoint: the first {_only_for(rows[0])}")
    async with AsyncExitStack() as stack:
        return await _probe(rows, answers, _Mocks(stack, keep_audio=None), on_result, workers)


async def probe_own_mock(
    rows: Sequence[Row],
    on_result: Callable[[Result], None] = lambda result: None,
    timeout: float = 10.0,
    **options: Any,
) -> list[Result]:
    """Start mocks, one for each kind of endpoint and state of the account, and run rows on them.

    Args:
        rows: The rows.
        on_result: As for `probe`.
        timeout: Seconds to wait for each event.
        **options: Arguments of `rtstt_testkit.RealtimeServer`.
    """
    async with AsyncExitStack() as stack:
        tested = _Mocks(stack, **options)

        async def answers(row: Row) -> Endpoint | None:
            return await tested.endpoint(row, timeout)

        return await _probe(rows, answers, _Mocks(stack, keep_audio=None), on_result)


class _Mocks:
    """The mocks of a run, each started when a row needs it.

    Args:
        stack: Stops them.
        **options: Arguments of `rtstt_testkit.RealtimeServer` for all of them.
    """

    def __init__(self, stack: AsyncExitStack, **options: Any) -> None:
        self._stack = stack
        self._options: dict[str, Any] = options
        self._servers: dict[tuple[RefusalMoment, Profile, Account | None], RealtimeServer] = {}
        self._starting = asyncio.Lock()

    async def endpoint(self, row: Row, timeout: float, moment: RefusalMoment = "at-connect") -> Endpoint:
        """Return the mock for a row.

        Args:
            row: The row.
            timeout: Seconds to wait for each event.
            moment: When it refuses a transcription session with a model.
        """
        key = moment, row.profile, row.account
        async with self._starting:
            if key not in self._servers:
                settings = {"refuse": moment, "profile": row.profile, "account": row.account, "strict": False}
                server = RealtimeServer(**(settings | self._options))
                self._servers[key] = await self._stack.enter_async_context(server)
        return Endpoint(self._servers[key].url, MOCK_KEY, timeout)


async def _probe(
    rows: Sequence[Row],
    answers: Callable[[Row], Awaitable[Endpoint | None]],
    mocks: _Mocks,
    on_result: Callable[[Result], None],
    workers: int = 1,
) -> list[Result]:
    """Run rows, each on the endpoint that answers it, or on none."""
    shim = sys.modules.get("rtstt_shim")
    if shim is not None and shim.status().active:
        raise RuntimeError("the shim is active and would correct the tested URLs; call rtstt_shim.uninstall() first")
    gate = asyncio.Semaphore(workers)

    async def one(row: Row) -> Result:
        async with gate:
            endpoint = await answers(row)
            return await _run_row(row, endpoint, mocks) if endpoint else Result(row, "not applicable", _only_for(row))

    results: list[Result] = []
    tried: list[Result] = []
    tasks: dict[int, asyncio.Task[Result]] = {}
    try:
        for number, row in enumerate(rows):
            if len(tried) >= _SILENT_ROWS and all(map(_is_silent, tried[:_SILENT_ROWS])):
                result = Result(row, "not tried", f"the server was silent in the first {_SILENT_ROWS} rows")
            elif number in tasks:
                result = await tasks[number]
            else:
                result = await one(row)
            if result.verdict != "not applicable":
                tried.append(result)
                if len(tried) == 1:
                    if result.verdict == "not tried":
                        raise Unreachable(result.note)
                    following = range(number + 1, len(rows))
                    tasks = {later: asyncio.ensure_future(one(rows[later])) for later in following}
            results.append(result)
            on_result(result)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    return results


def _only_for(row: Row) -> str:
    """Return which endpoint a row needs."""
    if row.account is not None:
        return f"needs --account {row.account}"
    return "needs --azure" if row.profile == "azure" else "needs OpenAI's endpoint, and an account that may use it"


def _is_silent(result: Result) -> bool:
    """Return whether an endpoint sent nothing at all after the upgrade."""
    return [event["type"] for event in result.received.events] == ["(upgrade)", "(silence)"]


#: It is not known when the endpoint sends some refusals; either moment is accepted.
_MOMENTS: dict[RefusalMoment, str] = {
    "at-connect": "",
    "on-update": "refused after session.update, as livekit/agents-js#1756 saw it",
}


async def _run_row(row: Row, endpoint: Endpoint, mocks: _Mocks) -> Result:
    expected = {
        moment: (await attempt(row, await mocks.endpoint(row, _MOCK_TIMEOUT, moment))).events
        for moment in _MOMENTS
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
