"""Run at the start of every Python that ``rtstt-shim run`` starts, directly or through other programs.

Python imports the first ``sitecustomize`` that it finds, and ``rtstt-shim run`` puts this folder first on PYTHONPATH.
At its end this file imports the ``sitecustomize`` that Python would have found without it, which takes its place.

A program may start any Python: this file is written for all of them since 2.7.
"""

import os
import sys

try:
    if sys.version_info >= (3, 10):
        import _rtstt_bootstrap  # type: ignore[import-not-found]  # beside this file

        _rtstt_bootstrap.start()
    else:
        import _rtstt_disable  # type: ignore[import-not-found]  # beside this file

        if sys.stderr and not _rtstt_disable.is_disabled():
            sys.stderr.write("rtstt-shim: not active: this is Python %d.%d, 3.10 is needed\n" % sys.version_info[:2])
except Exception as error:
    if sys.stderr:
        sys.stderr.write("rtstt-shim: not active: %r\n" % error)

# The program's own sitecustomize must run as it does without this one: found on the path, named in sys.modules, its
# exceptions left to the interpreter. Then this folder goes back on the path, because programs pass the path on to their
# children.
_here = os.path.dirname(__file__)
_path = list(sys.path)
sys.path[:] = [entry for entry in _path if entry != _here]
_shorter = list(sys.path)
_ours = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
except ImportError as error:
    if getattr(error, "name", "sitecustomize") != "sitecustomize":
        raise
    if _ours:
        sys.modules["sitecustomize"] = _ours
finally:
    if sys.path == _shorter:
        sys.path[:] = _path
    else:  # it changed the path
        sys.path.insert(0, _here)
