"""The inspector: a page that shows what a client sent, what it received and what went wrong.

    routes, stream      the page and its data under /_mock/, live through server-sent events
    page                the page as one HTML document: served by the mock, or a report file with its data inside
    view                a session as JSON; axis puts its events and audio on one time axis, hints names what the events
                        and the pace of the audio show, url marks what is wrong in the URL
    peaks, clip         the waveform, computed once; a part of the audio as WAV
    exports             a session as HAR 1.2 or as JSON lines
    terminal, command   a line for each event that matters, for the mock's command
    report              report files; pytest_report writes them for failing tests
    static, vendor      the page's modules; wavesurfer.js (BSD-3), written by scripts/vendor_inspector.py

Nothing here runs, and nothing is computed, before the page is opened.
"""
