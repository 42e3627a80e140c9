#!/usr/bin/env bash
# Install the Python package of this repository, which the action is a part of, into an environment of its own.
set -euo pipefail

"$INPUT_PYTHON" -m venv "$RUNNER_TEMP/rtstt-shim"
"$RUNNER_TEMP/rtstt-shim/bin/python" -m pip install --quiet "$GITHUB_ACTION_PATH/../..[upstream]"
