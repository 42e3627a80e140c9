"""A differential runner: the same rows against an endpoint and against our own mock, and what differs.

``rows`` is the table, ``attempt`` carries one row out, ``normal`` takes out what differs every time, ``compare`` finds
the differences, ``runner`` does it for all rows and ``report`` shows them.
"""
