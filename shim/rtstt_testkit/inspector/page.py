"""The inspector's page: one HTML document that holds its style and its modules, and as a report file its data."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from rtstt_testkit.inspector.clip import clip
from rtstt_testkit.inspector.view import observed, with_findings
from rtstt_testkit.mock.inspect.examine import examine
from rtstt_testkit.mock.inspect.findings.finding import Finding
from rtstt_testkit.mock.inspect.record import SessionRecord

__all__ = ["AUDIO_LIMIT", "live_page", "report_page"]

#: A report holds this much audio of a session, as 16-bit PCM; of a longer one it holds the waveform alone.
AUDIO_LIMIT = 10 * 1024 * 1024
_PCM_RATE = 48_000  # bytes a second

# Modules import each other by these names, which the import map resolves to data: URLs: a report opened from disk
# cannot import files. A module that a script with the page's nonce imports needs no nonce of its own.
_MODULES = {
    "inspector/main": "static/main.js",
    "inspector/dom": "static/dom.js",
    "inspector/source": "static/source.js",
    "inspector/model": "static/model.js",
    "inspector/sessions": "static/sessions.js",
    "inspector/session": "static/session.js",
    "inspector/timeline": "static/timeline.js",
    "inspector/lanes": "static/lanes.js",
    "inspector/player": "static/player.js",
    "inspector/events": "static/events.js",
    "inspector/findings": "static/findings.js",
    "inspector/copy": "static/copy.js",
    "wavesurfer": "vendor/wavesurfer.esm.js",
    "wavesurfer/regions": "vendor/regions.esm.js",
    "wavesurfer/timeline": "vendor/timeline.esm.js",
}


def live_page() -> tuple[str, str]:
    """Return the page that shows a running mock, and its Content-Security-Policy."""
    nonce = secrets.token_urlsafe(16)
    return _document(nonce, "", {"live": True}), _policy(nonce, connect="'self'", media="'self'")


def report_page(records: Iterable[SessionRecord], title: str, notes: Sequence[str] = ()) -> str:
    """Return a report: the page with the data of sessions inside, to be opened from disk.

    Args:
        records: The sessions.
        title: What the report is about.
        notes: What is missing in it, as sentences.
    """
    records = list(records)
    # A trace of another server lacks what some checks need, such as the client's PONGs.
    own = [record for record in records if record.explanation is None]
    found = examine(own, max((record.opened_at + (record.closed_at or 0.0) for record in own), default=0.0))
    nonce = secrets.token_urlsafe(16)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_policy(nonce, media="blob:")}">'
    return _document(
        nonce,
        policy,
        {
            "live": False,
            "title": title,
            "notes": notes,
            "sessions": [_embedded(record, found) for record in records],
        },
    )


def _embedded(record: SessionRecord, found: list[Finding]) -> dict[str, Any]:
    """A session with its waveform, and with its audio where that is not too much."""
    seen = observed(record)
    seen.update()
    peaks = seen.peaks.read_now()
    view = with_findings(seen, seen.view(), found)
    begins = max(view["kept_from"], seen.axis.spans[-1].seconds)
    wav = clip(seen, begins, None) if (seen.axis.seconds - begins) * _PCM_RATE <= AUDIO_LIMIT else None
    kept = record.audio_received > record.audio_dropped
    return {
        **view,
        "peaks": base64.b64encode(peaks).decode(),
        "wav": base64.b64encode(wav).decode() if wav and kept else None,
        "audio_from": begins,
        "too_long": wav is None,
    }


def _policy(nonce: str, *, media: str, connect: str = "'none'") -> str:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
        f"connect-src {connect}; media-src {media}; base-uri 'none'; form-action 'none'"
    )


def _document(nonce: str, head: str, data: dict[str, Any]) -> str:
    return (
        _read("static/index.html")
        .replace("{{policy}}", head)
        .replace("{{nonce}}", nonce)
        .replace("{{style}}", _read("static/style.css"))
        .replace("{{imports}}", _imports())
        .replace("{{data}}", _script_json(data))  # last: what clients sent is never looked through for placeholders
    )


def _script_json(data: dict[str, Any]) -> str:
    """Return JSON that a script element can hold: nothing in it ends the element or begins a comment."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _imports() -> str:
    urls = {
        name: f"data:text/javascript;base64,{base64.b64encode(_read(path).encode()).decode()}"
        for name, path in _MODULES.items()
    }
    return json.dumps({"imports": urls})


@cache
def _read(path: str) -> str:
    return files("rtstt_testkit.inspector").joinpath(path).read_text("utf-8")
