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

expect.set_options(timeout=30_000)  # a browser shares the machine with the other tests


@pytest.fixture(scope="module")  # while it lives an event loop runs, beside which other modules could run none
def browser() -> Iterator[Browser]:
    """A browser without windows; tests are skipped where none is installed."""
    found = os.environ.get("RTSTT_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium); RTSTT_CHROMIUM may name it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


class Watched:
    """A page, and what it must not do."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        gone = "net::ERR_" in message.text  # the test's mock has ended, and the browser notes it
        if message.type in ("error", "warning") and not gone:
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in _LOCAL:
            self.strangers.append(request.url)


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page that writes nothing to the console and asks no other machine for anything."""
    watched = Watched(browser, viewport={"width": 1280, "height": 860})
    yield watched
    watched.context.close()
    assert watched.complaints == []
    assert watched.strangers == []


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page
