"""The work of ``rtstt-shim record``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from rtstt_core.commands.activation import NODE_SHIM, activate_in_node, activate_in_python
from rtstt_core.commands.run import supervise
from rtstt_core.errors import CommandError, UsageError
from rtstt_testkit.cassette.format import CassetteError
from rtstt_testkit.commands.route import NODE_PRELOAD
from rtstt_testkit.recording.recorder import NATIVE, IncompleteRecordingError, Recorder, program

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the program and record it; return its exit code, or 1 if the recording is not complete."""
    command: list[str] = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not command or not command[0]:
        raise UsageError(
            "there is no COMMAND to run; for example: rtstt-shim record --out a.rtstt.jsonl -- python a.py"
        )
    if shutil.which(command[0]) is None:  # before a recording is made, or replaced
        raise UsageError(f"cannot start {command[0]}: there is no such program")
    try:
        recorder = Recorder(
            args.out, to=args.to, hosts=args.host or [NATIVE], client=program(command), replace=args.force
        )
        with recorder:
            environ = {**os.environ, **recorder.environment}
            if not args.shim:
                environ["RTSTT_SHIM_DISABLE"] = "1"
            activate_in_python(environ, command)
            activate_in_node(environ, command, NODE_SHIM, NODE_PRELOAD)
            code = supervise(command, environ)
    except IncompleteRecordingError as error:
        raise CommandError(str(error)) from None
    except CassetteError as error:
        raise UsageError(str(error)) from None
    for problem in recorder.problems:
        print(f"rtstt-shim: {problem}", file=sys.stderr)
    return code
