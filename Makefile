# `make` lists the targets. Needs Python 3.11 or newer; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PHOENIX := .venv-phoenix
PHOENIX_INSTALLED := $(PHOENIX)/.installed
PEERS := .venv-peers
PEERS_INSTALLED := $(PEERS)/.installed
PORT ?= 3000
export DAGSTER_HOME := $(CURDIR)/.dagster
# Tests and runs start Python many times; without its bytecode each start would compile the package, and the tests, anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

install: $(INSTALLED) ## Set up .venv with what every other target needs

$(INSTALLED): requirements.lock pyproject.toml
	@echo "Installing into $(VENV) (about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

phoenix: $(PHOENIX_INSTALLED) ## Set up .venv-phoenix: the Phoenix server that the tests talk to (a minute, 850 MB)

$(PHOENIX_INSTALLED): requirements-phoenix.lock
	@echo "Installing the Phoenix server of the tests into $(PHOENIX) (about a minute) ..."
	@test -x $(PHOENIX)/bin/python || $(PYTHON) -m venv $(PHOENIX)
	@$(PHOENIX)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-phoenix.lock
	@touch $@

demo: install ## Run the whole loop over eight simulated weeks: no account, no key
	@$(BIN)/sia demo

dev: install ## Dagster UI and daemon on http://127.0.0.1:3000 (PORT=...)
	$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: install phoenix ## Run the tests
	$(PYTEST)

coverage: install phoenix ## Run the tests with branch coverage (nearly twice the time)
	$(PYTEST) --cov --cov-report=term:skip-covered

check: install ## Lint, types, layers, lock, definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip check
	$(BIN)/dagster definitions validate --workspace workspace.yaml --load-with-grpc

bench: install ## Benchmarks: print ratios, write bench/results/*.json (five minutes)
	@$(BIN)/python -m bench

bench-faults: install ## The engine at its limits, under faults, and killed (five minutes)
	@$(BIN)/python -m bench limits faults durability

bench-templates: install ## Template recovery on prompts with known truth: shares, CPU (five to ten minutes)
	@$(BIN)/python -m bench templates

bench-guard: install ## The guard's rules on 200 kB of anything, and a gullible updater in whole windows (five minutes)
	@$(BIN)/python -m bench guard gullible

bench-gate: install ## How often the gate errs, and what it finds: simulated windows and years, no model
	@$(BIN)/python -m bench.gate

bench-year: install ## Years of windows through the real assets, over a simulated endpoint (a quarter of an hour)
	@$(BIN)/python -m bench.year

bench-search: install ## What searches reach on simulated tasks with a known best, and for how many calls (ten minutes)
	@$(BIN)/python -m bench.search

bench-peers: install $(PEERS_INSTALLED) ## The judge's stage beside DSPy's Evaluate, which gets an environment of its own
	@$(BIN)/python -m bench.peers $(PEERS)/bin/python

$(PEERS_INSTALLED): bench/requirements-peers.lock
	@echo "Installing the peers of the benchmark into $(PEERS) ..."
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r bench/requirements-peers.lock
	@touch $@

COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet

lock: install ## Compile requirements.lock from pyproject.toml, and those of the Phoenix server and of the peers
	$(COMPILE) --all-extras --output-file requirements.lock pyproject.toml
	echo 'arize-phoenix==20.21.0' | $(COMPILE) --output-file requirements-phoenix.lock -
	echo 'dspy==3.4.1' | $(COMPILE) --output-file bench/requirements-peers.lock -

clean: ## Remove what the demo and the tests made (not .venv, .venv-phoenix, .venv-peers)
	rm -rf .sia .dagster/history .dagster/schedules .dagster/storage .dagster/.nux .dagster/.telemetry .dagster/logs .pytest_cache .hypothesis .coverage

.PHONY: help install phoenix demo dev test coverage check bench bench-faults bench-templates bench-guard bench-gate bench-year bench-search bench-peers lock clean
