#!/bin/sh
# Everything that needs no test run: lint, format, types, layers, generated files. Under a minute.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/ruff check
$bin/ruff format --check
$bin/lint-imports
$bin/mypy
$bin/quarterdeck rules check
$bin/quarterdeck dashboards check
$bin/quarterdeck contract check
$bin/quarterdeck runbook pages --check
$bin/python tools/reference.py --check
