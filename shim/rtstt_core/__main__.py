"""Run the console command: ``python -m rtstt_core``."""

from __future__ import annotations

import sys

from rtstt_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
