#!/bin/sh
# Every test. The tools build, servers and SDKs are fetched, in the background while the tests that need neither run.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin

# Instructions are what the cost of a request is gated on.
if ! command -v valgrind >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && apt-get install -qq -y --no-install-recommends valgrind >/dev/null
  else
    printf 'Error: Expected valgrind on PATH.\nFound none.\nNext: apt-get install valgrind.\n' >&2
    exit 2
  fi
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

$bin/quarterdeck tools install >"$log" 2>&1 &
tools=$!
served=$(mktemp)
tools/servers.sh >"$served" 2>&1 &
servers=$!
sdks=$(mktemp)
wheels=$(mktemp -d)
wanted=$($bin/python -c 'import tomllib
extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print(*extras["aws"], *extras["gcp"], *extras["azure"])')
# shellcheck disable=SC2086 -- several packages
$bin/pip wheel --quiet --disable-pip-version-check --constraint constraints.txt --wheel-dir "$wheels" $wanted >"$sdks" 2>&1 &
clouds=$!
trap 'kill $tools $servers $clouds 2>/dev/null || true; rm -rf "$log" "$served" "$sdks" "$wheels"' EXIT INT TERM

# Most tests wait for processes of their own, so two of them at once take little more than half the time. What a file's
# tests share is made once: they stay together.
at_once="--numprocesses $(nproc) --maxprocesses 4 --dist loadfile"
# shellcheck disable=SC2086 -- several arguments
$bin/pytest -m "not tools" $at_once --cov --cov-report= "$@"
if ! wait $tools; then
  cat "$log" >&2
  exit 1
fi
if ! wait $servers; then
  cat "$served" >&2
  exit 1
fi
if ! wait $clouds; then
  cat "$sdks" >&2
  exit 1
fi
# Installed only now: tests that look at what is installed would see half of it.
# shellcheck disable=SC2086 -- likewise
$bin/pip install --quiet --disable-pip-version-check --no-index --find-links "$wheels" --constraint constraints.txt $wanted
$bin/mypy --config-file tools/cloud-types.ini
# shellcheck disable=SC2086 -- likewise
$bin/pytest -m tools $at_once --cov --cov-append --cov-report= "$@"
$bin/coverage report
