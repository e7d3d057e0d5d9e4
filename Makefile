# `make help` says what each command does. Only Python 3.11+, git and make are needed.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$name && break; done)
RUN := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup up down demo check test lint bench

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what uv.lock lists into .venv (the others call it)
	@command -v "$(PYTHON)" >/dev/null || { echo "setup: no Python 3.11 or newer was found" >&2; \
	echo "  to do: install one (Debian: apt-get install python3 python3-venv), or name it: make $@ PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) deploy/setup.py

up: setup ## start Airflow on 127.0.0.1 in the background; prints the address and the login
	@$(RUN) deploy/local.py up

down: setup ## stop what `make up` started
	@$(RUN) deploy/local.py down

demo: setup ## run the four pipelines once through a scheduler of its own and show what landed
	@$(RUN) deploy/demo.py

check: setup ## report every mistake in dag_configs/ with file, line and column
	@$(RUN) -m schemas check

test: setup ## run all tests (12 to 18 minutes; unit tests alone: make test ARGS="-m 'not slow'")
	@$(RUN) -m pytest $(ARGS)

lint: setup ## formatting, style, types, import contracts
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: setup ## measure, with a peer in the same run
	@$(RUN) tests/benchmarks/bench_loading.py
	@$(RUN) tests/benchmarks/bench_detection.py
	@$(RUN) tests/benchmarks/bench_weather.py
	@$(RUN) tests/benchmarks/bench_models.py
