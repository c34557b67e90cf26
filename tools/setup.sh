#!/bin/sh
# Make .venv with both distributions in it, or say what this machine is missing. Needs Python >= 3.11, make, git.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
  printf 'Error: Expected %s.\nFound %s.\nNext: %s.\n' "$1" "$2" "$3" >&2
  exit 2
}

command -v "$python" >/dev/null 2>&1 ||
  fail "Python 3.11 or newer as $python" "no $python on PATH" "apt-get install python3 python3-venv, or set PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or newer" "$("$python" --version 2>&1)" "set PYTHON to a newer one: make setup PYTHON=python3.12"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "the modules venv and ensurepip" "a Python without them" "apt-get install python3-venv"

echo "Setting up .venv ($("$python" --version))" >&2
[ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
# pip 25.1 is the first that installs dependency groups; Debian's is older.
.venv/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1' ||
  fail "the Python package index to answer" "an error from pip (above)" "check the network or pip's index settings"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt --editable ./instrumentation --editable '.[demo]' --group dev ||
  fail "every package to install" "an error from pip (above)" "read it, mend it and run make setup again"
touch .venv/.ready
