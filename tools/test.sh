#!/bin/sh
# Every test. The tools build in the background while the tests that need none of them run.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
log=$(mktemp)
trap 'rm -f "$log"' EXIT

$bin/quarterdeck tools install >"$log" 2>&1 &
tools=$!
trap 'kill $tools 2>/dev/null || true; rm -f "$log"' EXIT INT TERM

$bin/coverage erase
$bin/coverage run -m pytest -m "not tools" "$@"
if ! wait $tools; then
  cat "$log" >&2
  exit 1
fi
$bin/coverage run -m pytest -m tools "$@"
$bin/coverage combine --quiet
$bin/coverage report
