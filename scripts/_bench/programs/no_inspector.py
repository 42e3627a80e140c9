"""`rtstt-shim mock`, where the inspector does nothing for the sessions whose URL has `inspector=no`."""

import sys

from rtstt_core.cli import main
from rtstt_testkit.mock.server.records import Records

add = Records.add


def add_without(self, request, *times):
    record = add(self, request, *times)
    if "inspector" in record.handshake.query:
        record.before_drop = None
    return record


Records.add = add_without
sys.exit(main())
