"""The mock of OpenAI's Realtime transcription endpoint: a pure protocol core in a thin shell.

    server, wire        sockets, time, tasks; no protocol
    session             the state machine: frames and time in, frames out
    outbox, faults      what is sent when, and what goes wrong on the way
    transcription       items and transcripts, each model in its own way
    vad, audio          where speech begins and ends
    admission           who gets in, as a table
    schema, config      the session object and its validation, as a table
    errors, models      the endpoint's words, and its models, as tables
    script, recognition what to answer
    script_file         the same from a file: script_source reads it, script_fields is its table, script_schema shows it
    record, explain     what happened, for people and assertions; verify compares it with the script
    api, http           the control API

Each rule carries its evidence: [capture] a public capture of the live endpoint (2026-09-18), [types] the event types
of the ``openai`` SDK, [issue] a public issue, [client] what a published client assumes.

Not known, and so the mock's own choice, each marked where it is made: the moment of the refusal of a model in
transcription mode (``refuse`` offers both); the end of the ``invalid_json`` text; the codes of a bad append;
the answers to an append over 15 MiB, to a session too many (HTTP 503 beyond ``max_sessions``), to an unknown
transcription model, to a number out of range except the sample rate, to an option that a model does not take, to
``response.create`` in a transcription session; which setting of ``delay`` gives which latency; the live frames of
semantic_vad, segments, logprobs and ``timeout_triggered``.

Not reproduced: speech recognition (texts come from the script, or from the bundled recordings when they are
heard); the endpoint's voice detector, which is a model (the mock counts loud samples, and finds no speech in
noise above about -42 dBFS); audio replies, tools and everything else of conversations beyond one text
response; translation sessions; WebRTC and SIP; rate limits.
"""
