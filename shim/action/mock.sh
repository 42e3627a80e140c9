#!/usr/bin/env bash
# Start the mock in the background, wait until it listens, and hand its address to the steps that follow.
set -euo pipefail

log="$RUNNER_TEMP/rtstt-shim-mock.log"
read -ra arguments <<<"${INPUT_MOCK_ARGUMENTS:-}"
# The file is there before the loop below reads it.
: >"$log"
nohup "$RUNNER_TEMP/rtstt-shim/bin/rtstt-shim" mock "${arguments[@]}" >>"$log" 2>&1 &
pid=$!
until grep --quiet '^listening on ' "$log"; do
  if ! kill -0 "$pid" 2>/dev/null; then
    cat "$log" >&2
    exit 1
  fi
  sleep 0.1
done
url=$(sed -n 's/^listening on //p' "$log")
echo "url=$url" >>"$GITHUB_OUTPUT"
echo "RTSTT_MOCK=$url" >>"$GITHUB_ENV"
echo "the mock listens on $url; its output is in $log"
