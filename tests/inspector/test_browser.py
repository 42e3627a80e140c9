"""The page in a real browser."""

import gc
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import tomllib
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect
from talking import (
    COMPLETED,
    HELLO,
    TIMEOUT,
    append,
    audio_first,
    client,
    get,
    page_url,
    refused,
    server,
    talk,
    update,
)

from rtstt_testkit import Failure, Fault, ThreadedRealtimeServer
from rtstt_testkit.inspector.view import work_out
from rtstt_testkit.mock.audio.formats import encode_g711
from rtstt_testkit.mock.script.file import load_script
from rtstt_testkit.speech import load, silence

pytestmark = pytest.mark.browser

TWO = load("hello+coffee").pcm + silence(1.0)
CURSOR = "() => parseFloat(document.querySelector('.wave > div').shadowRoot.querySelector('[part=cursor]').style.left)"
SCROLLED = """() => {
  const box = document.querySelector('.wave > div').shadowRoot.querySelector('.scroll');
  return {width: box.scrollWidth, seen: box.clientWidth, left: box.scrollLeft};
}"""
REGIONS = """() => {
  const regions = document.querySelector('.wave > div').shadowRoot.querySelectorAll('[part~=region]');
  return [...regions].map((region) => region.getBoundingClientRect().toJSON());
}"""
LANES_DRAWN = """() => {
  const canvas = document.querySelector('.lanes');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, index) => index % 4 === 3 && value > 0);
}"""
LISTED = "() => [...document.querySelectorAll('.event .type')].map((type) => type.textContent)"
BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
NOW = "() => { performance.setResourceTimingBufferSize(10_000); return performance.now(); }"
ASKED = """(since) => performance.getEntriesByType('resource')
  .filter((entry) => entry.startTime >= since).map((entry) => new URL(entry.name).pathname)"""
ASKED_PEAKS = """() => performance.getEntriesByType('resource')
  .map((entry) => new URL(entry.name)).filter((url) => url.pathname.endsWith('/peaks'))
  .map((url) => Number(url.searchParams.get('after')))"""


@pytest.fixture
def mock() -> Iterator[ThreadedRealtimeServer]:
    with server() as running:
        yield running


def open_page(page: Page, mock: ThreadedRealtimeServer, session: int | None = None) -> None:
    page.goto(page_url(mock, f"#session={session}" if session else ""))
    expect(page.locator("header .state")).to_have_text("live")
    if session:
        expect(page.locator("main h2")).to_contain_text(f"Session {session}")


def wait_for_waveform(page: Page) -> None:
    expect(page.locator(".wave canvas").first).to_be_visible()


def eventually(page: Page, expression: str, holds: Callable[[Any], bool]) -> Any:
    """Evaluate until it holds, and return the value: the page's policy forbids what Playwright has for this."""
    until = time.monotonic() + TIMEOUT
    while not holds(value := page.evaluate(expression)):
        assert time.monotonic() < until, f"{expression} is {value!r}"
        page.wait_for_timeout(25)
    return value


def expect_selected(page: Page, type_: str) -> None:
    expect(page.locator(".event[aria-selected=true] .type")).to_have_text(type_)


# -- sessions


def test_a_session_appears_while_it_lasts_and_is_shown(page: Page, mock: ThreadedRealtimeServer) -> None:
    open_page(page, mock)
    expect(page.get_by_text("No client has connected yet.")).to_be_visible()
    with client(mock) as one:
        expect(page.locator("button.session .badge")).to_have_text("open")
        one.send(update())
        one.audio(HELLO)
        expect(page.locator("button.session .said")).to_contain_text("Hello")
        expect(page.locator(".verdict")).to_have_text("1 transcript was completed.")
    expect(page.locator("button.session .badge")).to_have_text("closed")
    expect(page.locator("button.session .code")).to_have_text("1000")


def test_what_is_wrong_in_the_url_is_marked_and_explained(page: Page, mock: ThreadedRealtimeServer) -> None:
    open_page(page, mock)
    refused(mock)
    expect(page.locator("main mark")).to_have_text("model=gpt-4o-mini-transcribe")
    expect(page.locator(".verdict.bad")).to_contain_text("Remove model from the URL")
    expect(page.locator("button.session .badge")).to_have_text("refused")
    expect(page.locator("main h2 .badge")).to_have_text("invalid_model")
    expect_selected(page, "error")
    expect(page.locator("pre")).to_contain_text('"code": "invalid_model"')


def test_the_newest_session_is_shown_until_one_is_chosen(page: Page, mock: ThreadedRealtimeServer) -> None:
    refused(mock)
    open_page(page, mock)
    refused(mock, "?model=whisper-1")
    expect(page.locator("main h2")).to_contain_text("Session 2")
    page.locator("button.session", has_text="#1").click()
    refused(mock)
    expect(page.locator("button.session")).to_have_count(3)
    expect(page.locator("main h2")).to_contain_text("Session 1")
    page.get_by_label("Show the newest").check()
    expect(page.locator("main h2")).to_contain_text("Session 3")


def test_sessions_that_the_mock_forgot_leave_the_list(page: Page, watched: Any, mock: ThreadedRealtimeServer) -> None:
    # The page may ask for the session just after the mock forgot it, which the browser notes.
    watched.expected.append("404 (Not Found)")
    refused(mock)
    open_page(page, mock)
    expect(page.locator("button.session")).to_have_count(1)
    mock.reset()
    expect(page.locator("button.session")).to_have_count(0)
    refused(mock, "?model=whisper-1")
    expect(page.locator("main mark")).to_have_text("model=whisper-1")


def test_of_a_hundred_open_sessions_only_the_one_that_is_shown_is_fetched(
    page: Page, mock: ThreadedRealtimeServer
) -> None:
    open_page(page, mock)
    with ExitStack() as stack:
        clients = [stack.enter_context(client(mock)) for _ in range(100)]
        for one in clients:
            one.send(update())
        expect(page.locator("button.session")).to_have_count(100)
        expect(page.locator("main h2")).to_contain_text("Session 100")
        since = page.evaluate(NOW)
        for one in clients:
            one.audio(HELLO)
        expect(page.locator("button.session .said", has_text="Hello")).to_have_count(100)
        expect(page.locator(".verdict")).to_have_text("1 transcript was completed.")
        asked = {path for path in page.evaluate(ASKED, since) if "/sessions/" in path}
    assert asked == {f"/_mock/sessions/100/{name}" for name in ("view", "peaks")}


def held(page: Page, path: str) -> Callable[[], Route]:
    """Hold the page's next request of a kind; what is returned waits for it and returns it."""
    routes: list[Route] = []
    page.route(re.compile(path), lambda route: routes.append(route), times=1)

    def wait() -> Route:
        eventually(page, "() => null", lambda _: bool(routes))
        return routes[0]

    return wait


def test_what_happens_while_the_page_fetches_a_session_is_shown(page: Page, mock: ThreadedRealtimeServer) -> None:
    view = held(page, r"/sessions/1/view")
    open_page(page, mock)
    with client(mock) as one:
        one.wait("session.created")
        route = view()
        answer = route.fetch()
    expect(page.locator("button.session .badge")).to_have_text("closed")
    route.fulfill(response=answer)  # from before the end
    expect(page.locator("main h2 .badge")).to_have_text("closed")


def test_a_session_whose_answer_was_lost_is_fetched_again(page: Page, mock: ThreadedRealtimeServer) -> None:
    view = held(page, r"/sessions/1/view")
    open_page(page, mock)
    with client(mock) as one:
        one.wait("session.created")
        view().fulfill(body='{"number": ', content_type="application/json")  # the connection broke in the middle
        one.send(update())
        expect(page.locator("main h2")).to_contain_text("Session 1")


def test_the_waveform_is_fetched_once_although_audio_comes_meanwhile(page: Page, mock: ThreadedRealtimeServer) -> None:
    loud, quiet = b"\x00\x40" * 24000, silence(1.0)
    peaks = held(page, r"/sessions/1/peaks")
    open_page(page, mock)
    with client(mock) as one:
        one.send(update(turn_detection=None))
        one.audio(loud)
        route = peaks()
        one.audio(quiet)
        expect(page.locator("button.session .audio")).to_have_text("2.000 s")
        route.continue_()
        expect(page.locator(".facts")).to_contain_text("2.000 s")
        asked = eventually(page, ASKED_PEAKS, lambda found: len(found) >= 2)
        assert asked == [0, 200]  # not once more what the first answer had


def test_a_mock_that_ends_is_said_to_be_gone(page: Page) -> None:
    with server() as mock:
        refused(mock)
        open_page(page, mock)
        expect(page.locator("main mark")).to_be_visible()
    expect(page.locator("header .state.bad")).to_contain_text("does not answer")
    expect(page.locator("main mark")).to_be_visible()
    gc.collect()  # a connection that is left open is this test's fault, not that of the next


def test_how_much_of_a_long_session_can_be_played_is_named_and_the_waveform_is_whole(page: Page) -> None:
    with server(keep_audio=96_000, before_drop=work_out) as mock, client(mock) as one:
        one.send(update())
        one.wait("session.updated")
        one.audio(HELLO + silence(20.0))
        one.wait(COMPLETED)
        open_page(page, mock, 1)
        expect(
            page.locator(".note", has_text=re.compile(r"The last 2\.\d+ s of the audio can be played"))
        ).to_be_visible()
        expect(page.get_by_role("button", name="Play")).to_be_enabled()
        assert max(get(mock, "sessions/1/peaks")[:150]) > 0  # where the speech was


def test_a_page_with_the_token_in_its_address_shows_everything(page: Page) -> None:
    with server(token="hunter2") as mock:
        talk(mock, HELLO)
        page.goto(page_url(mock, "?token=hunter2"))
        expect(page.locator("header .state")).to_have_text("live")
        expect(page.locator(".verdict")).to_have_text("1 transcript was completed.")
        wait_for_waveform(page)


# -- one session


def test_audio_items_and_transcripts_stand_on_one_axis(page: Page, mock: ThreadedRealtimeServer) -> None:
    talk(mock, TWO, turns=2)
    open_page(page, mock, 1)
    wait_for_waveform(page)
    regions = page.locator(".wave [part~=region]")
    expect(regions).to_have_count(2)
    expect(page.locator(".wave [part~=marker]")).to_have_count(2)  # the commits
    eventually(page, REGIONS, lambda boxes: len(boxes) == 2 and boxes[0]["right"] < boxes[1]["left"])
    eventually(page, LANES_DRAWN, bool)


def test_the_list_is_filtered_and_searched(page: Page, mock: ThreadedRealtimeServer) -> None:
    talk(mock, HELLO)
    open_page(page, mock, 1)
    types = page.locator(".event .type")
    expect(types.first).to_have_text("session.created")
    page.get_by_label("Server").uncheck()
    expect(types.first).to_have_text("session.update")
    eventually(page, LISTED, lambda types: set(types) == {"session.update", "input_audio_buffer.append"})
    page.get_by_label("Audio", exact=True).uncheck()
    expect(types).to_have_text(["session.update"])
    page.get_by_label("Server").check()
    page.keyboard.press("/")
    page.keyboard.type("gateway completed transcription.completed")
    expect(types).to_have_text([COMPLETED])
    expect(page.locator(".events .count")).to_contain_text("1 of")


def test_only_the_problems_are_listed(page: Page, mock: ThreadedRealtimeServer) -> None:
    with client(mock) as one:
        one.send({"type": "no.such.event"})
        one.wait("error")
    open_page(page, mock, 1)
    page.get_by_label("Problems only").check()
    expect(page.locator(".event .type")).to_have_text(["error"])


def test_the_keyboard_steps_searches_and_helps(page: Page, mock: ThreadedRealtimeServer) -> None:
    talk(mock, HELLO)
    refused(mock)
    open_page(page, mock, 1)
    page.keyboard.press("j")
    expect_selected(page, "session.created")
    page.keyboard.press("j")
    expect_selected(page, "session.update")
    page.keyboard.press("k")
    expect_selected(page, "session.created")
    expect(page.locator("pre")).to_contain_text('"type": "session.created"')
    page.keyboard.press("K")
    expect(page.locator("main h2")).to_contain_text("Session 2")
    page.keyboard.press("J")
    expect(page.locator("main h2")).to_contain_text("Session 1")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_label("Search events")).to_be_focused()
    page.keyboard.type("j?")  # letters, not commands
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_zooming_keeps_the_place_and_fit_shows_everything(page: Page, mock: ThreadedRealtimeServer) -> None:
    talk(mock, TWO, turns=2)
    open_page(page, mock, 1)
    wait_for_waveform(page)
    eventually(page, SCROLLED, lambda box: box["width"] == box["seen"] > 0)
    for _ in range(3):
        page.keyboard.press("+")
    near = eventually(page, SCROLLED, lambda box: box["width"] == pytest.approx(8 * box["seen"], rel=0.01))
    page.keyboard.press("ArrowRight")
    eventually(page, SCROLLED, lambda box: box["left"] > near["left"])
    page.get_by_role("button", name="Show the whole session").click()
    eventually(page, SCROLLED, lambda box: box["width"] == box["seen"])


def test_the_evidence_of_a_finding_leads_to_its_place(page: Page, mock: ThreadedRealtimeServer) -> None:
    audio_first(mock, HELLO)
    open_page(page, mock, 1)
    wait_for_waveform(page)
    findings = page.get_by_role("list", name="Findings")
    expect(findings).to_contain_text("audio_before_updated: Audio was sent before the session was configured.")
    page.get_by_label("Audio", exact=True).uncheck()
    page.keyboard.press("k")  # the last event
    expect(page.locator(".event[aria-selected=true]")).to_be_visible()
    eventually(page, CURSOR, lambda now: now > 50)
    place = findings.get_by_role("button", name=re.compile(r"^event 2 at \d+\.\d{3} s$"))
    place.focus()
    page.keyboard.press("Enter")
    expect_selected(page, "input_audio_buffer.append")
    expect(page.locator("#event-1[aria-selected=true]")).to_be_visible()
    expect(page.get_by_label("Audio", exact=True)).to_be_checked()  # it would hide the event
    expect(page.locator("pre")).to_contain_text('"type": "input_audio_buffer.append"')
    eventually(page, CURSOR, lambda now: now < 25)
    page.keyboard.press("j")  # goes on from there
    expect(page.locator("#event-2[aria-selected=true]")).to_be_visible()


def test_evidence_in_another_session_leads_there(page: Page, mock: ThreadedRealtimeServer) -> None:
    audio_first(mock, HELLO)
    audio_first(mock, HELLO)
    open_page(page, mock, 1)
    page.get_by_role("button", name="session 2, event 2").click()
    expect(page.locator("main h2")).to_contain_text("Session 2")
    expect_selected(page, "input_audio_buffer.append")
    expect(page.get_by_role("button", name="session 1, event 2")).to_be_visible()


def test_audio_plays_from_the_selected_event_and_the_playhead_moves(page: Page, mock: ThreadedRealtimeServer) -> None:
    talk(mock, TWO + silence(60.0), turns=2)  # it plays on while the page is looked at
    open_page(page, mock, 1)
    wait_for_waveform(page)
    expect(page.get_by_role("button", name="Play")).to_be_enabled()
    page.locator(".wave").click(position={"x": 500, "y": 40})
    start = eventually(page, CURSOR, lambda now: 30 < now < 70)
    with page.expect_response(lambda response: "clip.wav" in response.url) as answer:
        page.keyboard.press(" ")
    assert answer.value.ok
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    eventually(page, CURSOR, lambda now: now > start + 0.5)
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_an_event_is_copied_as_json_as_script_and_as_assertion(page: Page, tmp_path: Path) -> None:
    with server(transcripts=['He said "no"\n\\ ☃', Failure("Slow down.", "rate_limit_exceeded")]) as mock:
        with client(mock) as one:
            one.send(update())
            one.audio(TWO)
            one.wait("conversation.item.input_audio_transcription.failed")
            one.send({"type": "no.such.event"})
            one.wait("error")
        open_page(page, mock, 1)
        copied = {}
        for type_ in (COMPLETED, "conversation.item.input_audio_transcription.failed", "error", "session.updated"):
            page.get_by_label("Search events").fill(f'"type":"{type_}"')
            page.locator(".event", has=page.get_by_text(type_, exact=True)).click()
            for kind in ("script", "pytest"):
                page.locator(".copies button", has_text=kind).click()
                expect(page.locator(".copied")).to_have_text("Copied.")
                copied[type_, kind] = page.evaluate("() => navigator.clipboard.readText()")
        script = "".join(text for (_, kind), text in copied.items() if kind == "script")
        assert tomllib.loads(script)["transcript"][0]["text"] == 'He said "no"\n\\ ☃'
        path = tmp_path / "script.toml"
        path.write_text(script, encoding="utf-8")
        again = load_script(str(path))
        assert [transcript.failure is not None for transcript in again.transcripts] == [False, True]
        assert [fault.action for fault in again.faults] == ["error", "delay"]
        for (_, kind), text in copied.items():
            if kind == "pytest":
                exec(text, {"realtime_server": mock})  # raises where it does not hold


# -- the mistakes that people make


def test_audio_of_another_rate_is_noticed_while_it_is_sent(page: Page) -> None:
    with server(virtual_time=True) as mock, client(mock) as one:
        open_page(page, mock)
        one.send(update())
        for _ in range(45):  # 16 kHz in real time, by the mock's clock
            one.send(append(b"\x00\x10" * 1600))
            one.received()
            mock.advance(0.1)
        expect(page.locator(".verdict.waiting")).to_contain_text("16,000 Hz. Resample it to 24,000 Hz")


def test_a_client_that_never_commits_is_told_so_while_it_waits(page: Page, mock: ThreadedRealtimeServer) -> None:
    open_page(page, mock)
    with client(mock) as one:
        one.send(update(turn_detection=None))
        one.audio(HELLO)
        expect(page.locator(".verdict.waiting")).to_contain_text("never sent input_audio_buffer.commit")


def test_a_click_counts_although_what_is_clicked_is_drawn_anew_meanwhile(
    page: Page, mock: ThreadedRealtimeServer
) -> None:
    open_page(page, mock)
    with client(mock) as one:
        one.send(update(turn_detection=None))
        one.audio(HELLO)
        wait_for_waveform(page)
        row = page.locator(".event", has_text="session.created")
        for clicked, done in (
            (row, page.locator(".event[aria-selected=true]", has_text="session.created")),
            (page.locator("button.session .number"), page.locator("button.session[aria-current]:focus")),
            (page.get_by_role("button", name="Show the whole session"), page.locator(".tools button:focus")),
            (page.locator("summary"), page.locator("details[open]")),
        ):
            clicked.hover()
            page.mouse.down()
            before = page.locator(".facts").inner_text()
            one.audio(HELLO)
            expect(page.locator(".facts")).not_to_have_text(before, use_inner_text=True)
            clicked.hover()
            page.mouse.up()
            expect(done).to_have_count(1)


# -- what clients send


HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


def test_hostile_strings_are_text(page: Page) -> None:
    with server(transcripts=[HOSTILE, "</script><!--"]) as mock:
        with client(mock, f"?intent=transcription&x={HOSTILE.replace(' ', '%20')}") as one:
            one.send({"type": HOSTILE})
            one.send(update(transcription={"model": "gpt-4o-mini-transcribe", "prompt": HOSTILE}))
            one.audio(TWO)
            one.wait(COMPLETED)
            one.wait(COMPLETED)
        open_page(page, mock, 1)
        expect(page.locator("button.session .said")).to_contain_text(HOSTILE)
        for _ in range(12):
            page.keyboard.press("j")
        expect(page.locator(".event[aria-selected=true]")).to_be_visible()
        expect(page).to_have_title("rtstt-shim inspector")
        expect(page.locator("img")).to_have_count(0)
        expect(page.locator("script")).to_have_count(3)


def test_a_hostile_reason_in_a_finding_is_text(page: Page) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\">"
    fault = Fault("close", before="session.created", code=3000, reason=hostile, nth=None)
    with server(faults=[fault]) as mock:
        for _ in range(4):
            refused(mock, "?intent=transcription")
        open_page(page, mock, 1)
        expect(page.locator(".findings")).to_contain_text(hostile)
        expect(page).to_have_title("rtstt-shim inspector")
        expect(page.locator("img")).to_have_count(0)


def test_keys_stand_nowhere_on_the_page(page: Page, mock: ThreadedRealtimeServer) -> None:
    secret = "sk-proj-" + "Canary7" * 8
    with client(mock, key=secret) as one:
        one.send(update(transcription={"model": "gpt-4o-mini-transcribe", "prompt": f"key {secret}"}))
        one.wait("session.updated")
    open_page(page, mock, 1)
    page.get_by_text("Headers").click()
    expect(page.locator("details dl")).to_contain_text("authorization")
    for type_ in ("session.created", "session.update", "session.updated"):
        page.keyboard.press("j")
        expect_selected(page, type_)
        expect(page.locator("pre")).to_contain_text(f'"type": "{type_}"')
        assert "Canary7" not in page.content()


def test_the_policy_lets_no_foreign_script_in(watched, page: Page, mock: ThreadedRealtimeServer) -> None:
    watched.expected += ["Content Security Policy", "192.0.2.1"]  # the browser refuses the request
    open_page(page, mock)
    page.evaluate(
        """() => {
          const inline = document.createElement('script');
          inline.textContent = "document.title = 'taken'";
          document.body.append(inline);
        }"""
    )
    page.evaluate("() => fetch('http://192.0.2.1/').catch(() => null)")
    eventually(page, "() => null", lambda _: len(watched.complaints) >= 2)  # one for the script, one for the request
    expect(page).to_have_title("rtstt-shim inspector")


# -- size


@pytest.mark.heavy
def test_sixty_minutes_are_shown_with_two_requests_and_few_elements(page: Page) -> None:
    spoken = encode_g711(load("hello").pcm[: 2 * 8000 * 2], "audio/pcmu")
    with server() as mock:
        with client(mock) as one:
            one.send(update(format={"type": "audio/pcmu"}))
            one.wait("session.updated")
            for _ in range(450):
                one.send(append(spoken))
                one.send(append(b"\xff" * 8000 * 6))
            one.send({"type": "input_audio_buffer.clear"})
            one.wait("input_audio_buffer.cleared")
        transferred = []
        devtools = page.context.new_cdp_session(page)
        devtools.send("Network.enable")
        devtools.on("Network.loadingFinished", lambda loaded: transferred.append(loaded["encodedDataLength"]))
        open_page(page, mock, 1)
        expect(page.locator(".facts", has_text="1:00:00")).to_be_visible()
        wait_for_waveform(page)
        eventually(page, "() => null", lambda _: len(transferred) >= 3)  # the page, the session, its waveform
        assert sum(transferred) < 2 * 1024 * 1024
        asked = [path for path in page.evaluate(ASKED, 0) if "/sessions/" in path]
        assert asked == ["/_mock/sessions/1/view", "/_mock/sessions/1/peaks"]
        assert page.evaluate("() => document.querySelectorAll('.event').length") < 100
        for _ in range(8):
            page.keyboard.press("+")
        page.keyboard.press("j")
        eventually(page, SCROLLED, lambda box: box["width"] > 100_000)
        eventually(page, REGIONS, lambda boxes: 0 < len(boxes) <= 100)


# -- everyone


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ((1280, 860), "light"),
        pytest.param((360, 740), "dark", marks=pytest.mark.heavy),
        pytest.param((3840, 2160), "light", marks=pytest.mark.heavy),
        pytest.param((1280, 860), "dark", marks=pytest.mark.release),
        pytest.param((360, 740), "light", marks=pytest.mark.release),
        pytest.param((3840, 2160), "dark", marks=pytest.mark.release),
    ],
)
def test_the_page_fits_and_is_accessible(browser: Browser, mock: ThreadedRealtimeServer, scheme, size) -> None:
    talk(mock, TWO, turns=2)
    refused(mock)
    audio_first(mock, HELLO)
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    context.set_default_timeout(1000 * TIMEOUT)
    page = context.new_page()
    try:
        open_page(page, mock)
        for number in (1, 2, 3):
            row = page.locator("button.session", has_text=f"#{number}")
            row.click()
            expect(page.locator("main h2")).to_contain_text(f"Session {number}")
            if number == 1:
                expect(page.locator(".wave [part~=region]")).to_have_count(2)
            elif number == 2:
                expect_selected(page, "error")  # which the page selects itself
            else:
                page.locator(".findings button").click()
                expect_selected(page, "input_audio_buffer.append")
            page.keyboard.press("j")
            expect(page.locator("pre")).to_contain_text('"type"')
            eventually(page, "() => document.documentElement.scrollWidth - innerWidth", lambda wider: wider <= 0)
            found = Axe().run(page).response["violations"]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
            if size[0] < 700:  # the sessions and the session are two views there
                page.locator(".back").click()
    finally:
        context.close()


def test_the_colours_are_changed_by_hand_and_kept(page: Page, mock: ThreadedRealtimeServer) -> None:
    refused(mock)
    open_page(page, mock, 1)
    before = page.evaluate(BACKGROUND)
    button = page.get_by_role("button", name="Colours")
    button.click()
    button.click()
    expect(button).to_have_text("Dark")
    eventually(page, BACKGROUND, lambda now: now != before)
    page.reload()
    expect(page.get_by_role("button", name="Colours")).to_have_text("Dark")
