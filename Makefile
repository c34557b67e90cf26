# Every target is a line or two: the work is in the commands, so it can be done by hand as well.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test check bench

setup: .venv/.ready  ## the virtual environment with both distributions in it

.venv/.ready: pyproject.toml instrumentation/pyproject.toml constraints.txt tools/setup.sh
	@PYTHON=$(PYTHON) sh tools/setup.sh

demo: setup  ## from code to pager on real parts; KEEP=1 leaves it running
	@$(BIN)/quarterdeck demo $(if $(KEEP),--keep)

check: setup  ## lint, types, layers, generated files
	@sh tools/check.sh

test: check  ## every test, with the real tools
	@sh tools/test.sh

bench: setup  ## what it costs, beside its peers: docs/benchmarks.md; two hours, needs valgrind
	@$(BIN)/python tests/bench/request_cost.py --write
	@$(BIN)/python tests/bench/process_cost.py --long --write
	@$(BIN)/python tests/bench/termination.py --write
	@$(BIN)/python tests/bench/scrape_cost.py --write
	@$(BIN)/python tests/bench/rules_cost.py --write
	@$(BIN)/python tests/bench/long_windows.py --write
	@$(BIN)/python tests/bench/gateways.py --write
	@$(BIN)/python tests/bench/verdict_simulation.py --write
	@$(BIN)/python tests/bench/verdict_recordings.py --write
	@$(BIN)/python tests/bench/many_pods.py --write
	@$(BIN)/python tests/bench/lock_times.py --write
	@QUARTERDECK_FAULTS=all $(BIN)/pytest -q -n 4 tests/cluster/faults
	@QUARTERDECK_MATRIX=whole $(BIN)/pytest -q tests/unit/scripts_rollout/test_strategies_killed.py
	@QUARTERDECK_BEHAVIOURS=all $(BIN)/pytest -q tests/e2e/test_services_misbehaving.py
	@$(BIN)/python tools/reference.py
