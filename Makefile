# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Peers that we are measured against ask for versions of their own, so they get an environment of their own.
BENCH := .bench-venv
BENCH_READY := $(BENCH)/.ready
export UNSCATHED_DATA ?= $(abspath ../shared/data)

.PHONY: demo test lint types contract tests bench format clean help

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

demo: $(READY) ## the main job on real digits; ends by naming its report
	$(BIN)/unscathed demo

test: lint types contract tests ## everything that must hold

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks experiments
	$(BIN)/ruff format --check src tests benchmarks experiments

types: $(READY)
	$(BIN)/mypy

contract: $(READY)
	$(BIN)/lint-imports

tests: $(READY)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

bench: $(BENCH_READY) ## how fast, beside peers in the same run (about an hour; nothing else should run)
	$(BENCH)/bin/python benchmarks/curvature.py
	$(BENCH)/bin/python benchmarks/inverse_products.py
	$(BENCH)/bin/python benchmarks/influence_scores.py
	$(BENCH)/bin/python benchmarks/matching.py
	$(BENCH)/bin/python benchmarks/training.py
	$(BENCH)/bin/python benchmarks/unlearning.py
	$(BENCH)/bin/python benchmarks/healing.py
	$(BENCH)/bin/python benchmarks/lab.py

format: $(READY) ## tidy the code
	$(BIN)/ruff check --fix src tests benchmarks experiments
	$(BIN)/ruff format src tests benchmarks experiments

# The environment is made again when what it is made from has changed.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

$(BENCH_READY): pyproject.toml benchmarks/constraints.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint benchmarks/constraints.txt --editable '.[bench]'
	@touch $(BENCH_READY)

clean: ## remove the environments and what tools left behind
	rm -rf $(VENV) $(BENCH) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
