"""Runs at the start of every Python that ``rtstt-shim run`` started, itself or through a chain of children.

Python imports the first ``sitecustomize`` it finds, and ``rtstt-shim run`` puts this folder first on PYTHONPATH. The
one that would have been found without it is imported at the end, and takes this one's place.

A program may start any Python there is: this file keeps to what all of them since 2.7 can read.
"""

import os
import sys

try:
    if sys.version_info >= (3, 10):
        import _rtstt_bootstrap  # type: ignore[import-not-found]  # beside this file

        _rtstt_bootstrap.start()
    elif sys.stderr and os.environ.get("RTSTT_SHIM_DISABLE", "").lower() in ("", "0", "false", "no", "off"):
        sys.stderr.write("rtstt-shim: not active: this is Python %d.%d, 3.10 is needed\n" % sys.version_info[:2])
except Exception as error:
    if sys.stderr:
        sys.stderr.write("rtstt-shim: not active: %r\n" % error)

# What would have run without us, as it would have run: found on the path, named in sys.modules, its exceptions left to
# the interpreter. The path gets our folder back, because programs hand it on to their children.
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
