"""The async fixture for pytest-asyncio: one for each scope that the event loop of a test may have."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from rtstt_testkit._pytest_serving import serve_in_loop


def _in(scope: Any) -> Any:
    async def serve(request: Any) -> Any:
        async for server in serve_in_loop(request):
            yield server

    return pytest_asyncio.fixture(serve, name=f"_asyncio_realtime_server_{scope}", loop_scope=scope)


_function = _in("function")
_class = _in("class")
_module = _in("module")
_package = _in("package")
_session = _in("session")
