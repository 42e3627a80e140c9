"""The table of scripts/demo.py."""

from __future__ import annotations

from typing import Any

import pytest

demo: Any = pytest.importorskip("demo", reason="needs the project's scripts")

URL = "wss://api.openai.com/v1/realtime?intent=transcription&model=gpt-4o-mini-transcribe"
ROWS = [
    demo.Row("websockets 15.0.1, asyncio, `async for connect`", URL, "0 transcripts (4000 no)", '"Hello."', True),
    demo.Row("@livekit/agents-plugin-openai 1.4.4", URL.replace("api", "eu.api"), "nothing", "nothing", False),
]


@pytest.mark.parametrize("columns", [80, 100, 300])
def test_the_table_fits_and_loses_no_word(columns: int) -> None:
    lines = list(demo.table(ROWS, columns))
    rows = lines[: lines.index("\nURL as the client built it, without the shim:")]
    assert max(map(len, rows)) <= columns
    words = {word for row in ROWS for cell in (row.client, row.without, row.with_) for word in cell.split()}
    assert words <= set(" ".join(rows).split()) | {"@livekit/agents-plugin-openai"}
    assert "NOT EXPECTED" in " ".join(" ".join(rows).split())
    assert lines[-2:] == [f"  a  {URL}", f"  b  {URL.replace('api', 'eu.api')}"]
