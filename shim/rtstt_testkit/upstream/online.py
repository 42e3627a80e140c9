"""Query GitHub, npm and PyPI for the state of an upstream; only on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from rtstt_testkit.upstream.errors import UpstreamError
from rtstt_testkit.upstream.fixes import Fix

__all__ = ["states"]

GITHUB = "https://api.github.com/repos"
NPM = "https://registry.npmjs.org"
PYPI = "https://pypi.org/pypi"
TIMEOUT = 10.0


def states(fix: Fix) -> list[str]:
    """Return one line each on the issue and the newest release of an upstream.

    Args:
        fix: The fix.

    Returns:
        The lines; if a service failed, its line gives the reason.
    """
    questions: list[tuple[str, Callable[[httpx.Client], str]]] = []
    number = fix.issue or fix.pull
    if number is not None:
        questions.append((f"{fix.upstream}#{number}", lambda client: _issue(client, fix.upstream, number)))
    release = _npm if fix.registry == "npm" else _pypi
    questions.append((fix.package, lambda client: release(client, fix.package)))
    lines = []
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True, headers={"User-Agent": "rtstt-shim"}) as client:
        for what, question in questions:
            try:
                lines.append(f"{what}: {question(client)}")
            except UpstreamError as error:
                lines.append(f"{what}: unknown, {error}")
            except (LookupError, TypeError, ValueError, AttributeError):
                lines.append(f"{what}: unknown, the response has an unknown shape")
    return lines


def _issue(client: httpx.Client, repository: str, number: int) -> str:
    data = _get(client, f"{GITHUB}/{repository}/issues/{number}")
    state, title = data["state"], data["title"]
    closed = f" on {data['closed_at'][:10]}" if data.get("closed_at") else ""
    return f"{state}{closed}: {title}"


def _npm(client: httpx.Client, package: str) -> str:
    data = _get(client, f"{NPM}/{package.replace('/', '%2F')}")
    tag = data["dist-tags"]["latest"]
    times = {version: time for version, time in data["time"].items() if version not in ("created", "modified")}
    newest = max(times, key=lambda version: str(times[version]))
    return f"latest is {tag}, last published is {newest} on {times[newest][:10]}"


def _pypi(client: httpx.Client, package: str) -> str:
    data = _get(client, f"{PYPI}/{package}/json")
    return f"latest is {data['info']['version']} of {data['urls'][0]['upload_time_iso_8601'][:10]}"


def _get(client: httpx.Client, url: str) -> dict[str, Any]:
    host = httpx.URL(url).host
    try:
        response = client.get(url)
    except httpx.TimeoutException as error:
        raise UpstreamError(f"{host} did not answer in {TIMEOUT:.0f} s") from error
    except httpx.HTTPError as error:
        raise UpstreamError(f"cannot reach {host} ({error})") from error
    if response.status_code in (403, 429):
        raise UpstreamError(f"{host} has a rate limit (HTTP {response.status_code}): try again later")
    if response.status_code != 200:
        raise UpstreamError(f"{host} answered HTTP {response.status_code}")
    try:
        data = response.json()
    except ValueError as error:
        raise UpstreamError(f"the response of {host} is not JSON") from error
    if not isinstance(data, dict):
        raise UpstreamError(f"the response of {host} is not a JSON object")
    return data
