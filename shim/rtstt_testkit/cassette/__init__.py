"""The file of a recorded conversation: JSON lines, with the audio in WAV files beside them.

    format    the format's name and version, and the error of a file that cannot be used
    schema    the lines as a JSON schema
    ids       identifiers as placeholders
    wav       the audio
    lines     one connection: from frames to lines, without secrets
    writer    the file that is written
    reader    a file that is read
    model     the sessions that are read
    edit      a copy of a file with some lines changed or left out
    compare   whether two events mean the same

The lines are those of the shim's trace (``RTSTT_SHIM_TRACE``); a recording has also placeholders for identifiers and
the audio. Nothing here opens a socket.
"""
