"""``python -m rtstt_shim``: the console command."""

from __future__ import annotations

import sys

from rtstt_shim.cli import main

if __name__ == "__main__":
    sys.exit(main())
