"""The exam of speech clients: run a program against the mock, scenario by scenario, and report what it does wrong.

scenarios    what the mock does, and what must hold
audio        the recording of a scenario, as a WAV file and as a stream
program      runs the program within a bounded time, and leaves nothing of it running
examiner     runs one scenario, or all of them in parallel
report       the results for a terminal, as JSON, JUnit and HTML; baselines
"""
