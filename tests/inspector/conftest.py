"""A real browser: Debian's Chromium, driven by Playwright."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_LOCAL = {"127.0.0.1", "", None}

_TIMEOUT = 60_000  # milliseconds; a browser shares the machine with the other tests

expect.set_options(timeout=_TIMEOUT)


@pytest.fixture(scope="module")  # while it lives an event loop runs, beside which other modules could run none
def browser() -> Iterator[Browser]:
    """A browser without windows; tests are skipped where none is installed."""
    found = os.environ.get("RTSTT_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium); RTSTT_CHROMIUM may name it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, timeout=_TIMEOUT)
        yield browser
        browser.close()


class Watched:
    """A page, and what it must not do.

    Attributes:
        page: The page.
        complaints: What it wrote to the console, and exceptions in it.
        strangers: What it asked other machines for.
        expected: Parts of the complaints and of the addresses that the test expects; they may come at any time.
    """

    def __init__(self, browser: Browser, **options: object) -> None:
        self.context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)  # type: ignore[arg-type]
        self.context.set_default_timeout(_TIMEOUT)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.expected = ["net::ERR_"]  # the test's mock has ended, and the browser notes it
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in _LOCAL:
            self.strangers.append(request.url)

    def unexpected(self, lines: list[str]) -> list[str]:
        return [line for line in lines if not any(part in line for part in self.expected)]


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page that writes nothing to the console and asks no other machine for anything."""
    watched = Watched(browser, viewport={"width": 1280, "height": 860})
    yield watched
    watched.context.close()
    assert watched.unexpected(watched.complaints) == []
    assert watched.unexpected(watched.strangers) == []


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page
