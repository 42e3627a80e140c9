"""A mock of OpenAI's Realtime transcription endpoint: pure protocol code, and a server around it.

`PROTOCOL.md` in this folder lists every fact that the mock reproduces, with its evidence and its place in the code, and
what the mock does not reproduce. A mark such as ``[capture]`` stands for a source; section 10 lists the sources.

Each package imports only packages below it:

    server      connections, HTTP, threads; no protocol
    session     the state machine of one connection: frames and time in, frames out
    inspect     what happened: the record, its explanation, the check that a script was followed
    script      what to answer, and what goes wrong
    protocol    the endpoint's facts, as tables
    audio       formats, the buffer, speech detection, recognition of the bundled recordings
"""
