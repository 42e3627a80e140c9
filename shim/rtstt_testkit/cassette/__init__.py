"""The file of a recorded conversation: JSON lines, with the audio in WAV files beside them.

    format    the format's name and version, and the error of a file that cannot be used
    schema    the lines as a JSON schema
    ids       identifiers as placeholders
    wav       the audio
    lines     one connection: from frames to lines, without secrets
    writer    writing a file
    reader    reading a file
    model     the recorded sessions
    edit      a copy of a file with some lines changed or left out
    compare   the differences between two events
    follower  one client compared with a recorded session; audio and contour compare its audio
    schedule  what each recorded answer waits for
    player    which client gets which session, and the check at the end

The lines are those of the shim's trace (``RTSTT_SHIM_TRACE``); in addition, a recording has the audio, and placeholders
for identifiers. Nothing here opens a socket.
"""
