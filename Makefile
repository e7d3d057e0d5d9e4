# `make help` lists the commands. Only Python 3.11+, git and make are needed.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$name && break; done)
RUN := .venv/bin/python
# EXTRAS="sql http" installs these extras of pyproject.toml, EXTRAS= none; without it, those that are there stay.
SETUP = $(if $(findstring command,$(origin EXTRAS)),--extras '$(EXTRAS)')
# EXAMPLES="recommender hello_world" loads these examples too, EXAMPLES=1 all, EXAMPLES= none; kept as well.
CHOICE = $(if $(findstring command,$(origin EXAMPLES)),--examples '$(EXAMPLES)')
# An option of a command, if it was given to make itself; a shell may have a NAME of its own.
OPTION = $(if $(findstring command,$(origin $(1))),--$(2)="$$$(1)")
.DEFAULT_GOAL := help
.PHONY: help setup up down cluster cluster-down run airflow user serve doctor demo check test lint graph bench

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the packages of uv.lock into .venv (the other commands call it); EXTRAS="sql http" adds providers
	@command -v "$(PYTHON)" >/dev/null || { echo "setup: no Python 3.11 or newer was found" >&2; \
	echo "  to do: install one (Debian: apt-get install python3 python3-venv), or name it: make $@ PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) deploy/setup.py $(SETUP)

up: SETUP += $(if $(EXAMPLES),--with examples)
up: setup ## start Airflow on 127.0.0.1 in the background; prints the address and the login; EXAMPLES=1: with all examples
	@$(RUN) deploy/local.py up $(CHOICE)

down: setup ## stop what `make up` started
	@$(RUN) deploy/local.py down

cluster: SETUP += --with cluster
cluster: setup ## start Airflow with PostgreSQL, Redis, object storage and two Celery workers on 127.0.0.1 (docs/production.md)
	@$(RUN) deploy/cluster.py up

cluster-down: setup ## stop what `make cluster` started
	@$(RUN) deploy/cluster.py down

user: setup ## list who can log in; NAME=kim ROLE=viewer adds a user, NAME=kim DELETE=1 removes one
	@$(RUN) deploy/users.py $(call OPTION,NAME,name) $(call OPTION,ROLE,role) $(call OPTION,DELETE,delete)

run: setup ## run a DAG of that Airflow now and show its tasks: make run DAG=hello_world CONF='{"days": 3}'
	@$(RUN) deploy/local.py run $(call OPTION,DAG,dag) $(call OPTION,CONF,conf)

airflow: setup ## run a command of Airflow itself on it: make airflow ARGS="backfill create --help"
	@$(RUN) deploy/local.py airflow $(ARGS)

serve: setup ## serve the champions over HTTP on 127.0.0.1:8000, until Ctrl-C (docs/serving.md)
	@exec $(RUN) deploy/serve.py

doctor: setup ## say what is in order and what is not: YAML, Airflow, connections, the ages of the outputs
	@$(RUN) deploy/doctor.py

demo: setup ## run the four pipelines once, beside what is running, and show what they wrote
	@$(RUN) deploy/demo.py

check: setup ## report every mistake in dag_configs/ with file, line and column
	@$(RUN) -m schemas check $(ARGS)

test: SETUP = --all-extras
test: setup ## run all tests (about 30 minutes), three at a time; the quick ones: make test ARGS="-m 'not slow'"
	@$(PYTHON) deploy/setup.py --all-extras  # in `make lint test`, setup has run already, without them
	@$(RUN) -m pytest --install-programs -qq $(ARGS)
	@$(RUN) -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder $(ARGS)

lint: setup ## check formatting, style, types and import contracts
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

graph: setup ## print which part imports which, as Mermaid; ARGS=--write puts it into docs/architecture.md
	@$(RUN) docs/import_graph.py $(ARGS)

bench: setup ## measure speed, beside a comparable tool in the same run
	@$(RUN) tests/benchmarks/bench_loading.py
	@$(RUN) tests/benchmarks/bench_detection.py
	@$(RUN) tests/benchmarks/bench_weather.py
	@$(RUN) tests/benchmarks/bench_models.py
	@$(RUN) tests/benchmarks/bench_shadow.py
	@$(RUN) tests/benchmarks/bench_gate.py
	@$(RUN) tests/benchmarks/bench_drift.py
	@$(RUN) tests/benchmarks/bench_memory.py
	@$(RUN) tests/benchmarks/bench_serving.py
	@$(RUN) tests/benchmarks/bench_page.py
