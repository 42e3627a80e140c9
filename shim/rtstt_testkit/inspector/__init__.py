"""The inspector: what a client sent, what it was answered and what went wrong, for people to look at.

    routes, stream      the page and its data under /_mock/, live through server-sent events
    page                the page as one HTML document: served by the mock, or a report file with its data inside
    view                a session as JSON; axis puts its events and audio on one time axis, hints adds what only the
                        inspector can see
    peaks               the waveform, computed once
    exports             a session as HAR 1.2 or as JSON lines
    terminal            one line an event that matters, for the mock's command
    report, pytest      report files of a command and of failing tests
    static, vendor      the page's modules; wavesurfer.js (BSD-3), written by scripts/vendor_inspector.py

Nothing here runs, and nothing is computed, before somebody looks.
"""
