# `make run` serves the sample; `make test` runs every test. Both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polgate needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

env: $(STAMP)

run: $(STAMP)
	@$(BIN)/python samples/run.py $(SAMPLE)

# Three members and two gateways on this machine; Ctrl-C ends them. It takes Java 17 or later.
cluster: $(STAMP)
	@$(BIN)/python samples/cluster.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: $(STAMP)
	$(BIN)/python -m pytest

# The same tests at length: minutes, not seconds.
soak: $(STAMP)
	POLGATE_PAIRS=100000 POLGATE_SOAK=1 $(BIN)/python -m pytest tests/reference tests/unit tests/contracts tests/gateway tests/conformance

# Write what the cases yield into their files; read the difference before you commit it.
accept: $(STAMP)
	POL_ACCEPT=1 $(BIN)/python -m pytest tests/unit/test_cases.py

docs: $(STAMP)
	$(BIN)/pol docs docs/reference

bench: $(STAMP)
	$(PYTHON) tests/bench/gateways.py $(BENCH)

check: lint test

.PHONY: env run cluster lint test soak accept docs bench check
