"""The trace of watched connections, for ``RTSTT_SHIM_TRACE``: what the client and the server sent, as JSON lines.

    watch     a watch that also traces what it receives
    session   one connection: from frames to lines
    event     one message: parsed, without audio and secrets
    file      the file, which several processes may share

Nothing here is imported unless the variable is set.
"""
