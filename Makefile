# `make help` lists the targets. Everything runs in $(VENV), which `make install` fills; nothing is activated.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DISK ?= 8
JOBS ?= 2
STAMP := $(VENV)/.installed
SCRIPTS = $(shell git ls-files -co --exclude-standard '*.sh' .ci/run)
# The tests start `swift` and the recipes, which must be this environment's. Absolute, because tests change folders.
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install test test-fast test-real lint quickstart clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## make .venv and install the pinned set and this project; does nothing when up to date

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "gui-swift needs Python >= 3.11; name one: make install PYTHON=python3.12" >&2; exit 1; }
	@free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); test -x $(BIN)/python || test "$$free" -ge $(DISK) \
		|| { echo "installing takes $(DISK) GB of disk, $$free are free: free some, or make install DISK=$$free" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

test: install  ## run all tests, JOBS (2) files at a time (PYTEST_ARGS="-k login -x" narrows them)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

test-fast: install  ## run the tests that train nothing
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" $(PYTEST_ARGS)

test-real: install  ## run the tests with the families' own tokenizers, which it lays into build/real
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/real -r tests/requirements-real.txt
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/test_real.py tests/test_real_runs.py $(PYTEST_ARGS)

lint: install  ## ruff, shellcheck, codespell, secret scan
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if command -v shellcheck >/dev/null; then echo shellcheck $(SCRIPTS); shellcheck -x -P SCRIPTDIR $(SCRIPTS); \
		else echo "shellcheck is not installed: skipped"; fi
	$(BIN)/codespell
	git ls-files -z -co --exclude-standard | xargs -0 $(BIN)/detect-secrets-hook --disable-plugin HexHighEntropyString

quickstart: install  ## the whole pipeline with a tiny model on the CPU
	bash recipes/quickstart.sh

clean:  ## remove caches and build leftovers; .venv and runs/ stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis ./*.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
