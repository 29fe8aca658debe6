# Make as a command runner: a target is a command and always runs; the comment behind it is what `make help` prints.
# Nothing has to be installed by hand but make and Python 3.11 or newer (with venv): the first target that needs more makes `.venv`,
# and the sandbox builds the Kubernetes programs it needs into the user's cache folder, once.

MAKEFLAGS += --always-make --no-print-directory
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Passed on to the program behind a target: make test ARGS='-k coverage -x'
ARGS ?=
BIN := .venv/bin

# One worker more than cores, each with a control plane of its own (2 GB): a test waits for its cluster a sixth of its time.
# Two more were no faster: 16 min 52 s against 16 min 31 s on two cores.
# ARGS='-n0' runs all in one process, as a debugger wants.
WORKERS = --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4

help:  # Say what each target does
	@grep -hE '^[a-z-]+:.*  # ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  # /  \1\t/' | expand -t 15

demo: venv  # Start a Kubernetes control plane on this machine and put it under ddhelm
	@$(BIN)/python -m tests.demo up $(ARGS)

demo-down:  # Stop what `make demo` started and remove it
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tests.demo down; else echo 'Nothing to stop: `make demo` never ran here.'; fi

test: venv  # Run the tests, each property of the cluster once
	@$(BIN)/python -m tests.sandbox build
	@$(BIN)/python -m pytest -m 'not matrix' $(WORKERS) $(ARGS)

test-all: venv  # Run the full matrix (no limit of time)
	@$(BIN)/python -m tests.sandbox build
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

lint: venv  # Check style, types and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: venv  # Put the code into shape
	@$(BIN)/ruff check --fix --quiet --exit-zero
	@$(BIN)/ruff format

bench: venv  # Measure ddhelm beside the tools it replaces, as ratios
	@$(BIN)/python -m tests.bench $(ARGS)

venv:  # Make .venv, or bring it up to date with pyproject.toml
	@.ci/venv
