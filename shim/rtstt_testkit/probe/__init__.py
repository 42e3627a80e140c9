"""Run the same rows against an endpoint and against the mock, and report the differences.

``rows`` is the table. ``attempt`` runs one row, ``normal`` removes what differs on every run, ``compare`` finds the
differences, ``runner`` runs all rows and ``report`` prints them.
"""
