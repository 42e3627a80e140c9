"""Ask a mock for what the inspector's page asks for while the newest session is shown: `page.py PORT`."""

import contextlib
import http.client
import json
import sys


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/_mock/{path}", headers={"Accept-Encoding": "gzip"})
    return connection, connection.getresponse()


def body(port, path):
    connection, response = get(port, path)
    with contextlib.closing(connection):
        return response.read()


def main(port):
    _, stream = get(port, "events")  # closed when the mock ends
    shown, peaks = None, 0
    print("open", flush=True)
    for line in stream:
        if not line.startswith(b"data: "):
            continue
        sessions = json.loads(line[6:])["sessions"]
        newest = max((session["number"] for session in sessions), default=shown)
        if newest is None:
            continue
        if newest != shown:
            shown, peaks = newest, 0
        # The page asks again for the last run of appends, which may have grown.
        body(port, f"sessions/{shown}/view?after=1")
        peaks += len(body(port, f"sessions/{shown}/peaks?after={peaks}"))


main(int(sys.argv[1]))
