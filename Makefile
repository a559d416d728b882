# make run        set everything up, and open the screens on the running demo
# make test       set everything up, and run the quick test suite
# make test-long  the long one too       make check   linters and types
# make torture    kill -9 at random moments (ARGS=-x; WORKSTATION_TORTURE_RUNS=N, 100 by default)
# make bench      figures, each beside the raw tool    make wheel  what is released

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-long run test test-long torture check bench wheel lock clean

PYTHON := .venv/bin/python
# Two at a time: the guests that tests wait for leave half of a computer idle.
SPREAD := -n 2 --dist worksteal

help:
	@sed -n 's/^# //p' Makefile

setup:
	@tools/setup

setup-dev:
	@tools/setup --dev

setup-long:
	@tools/setup --long

run: setup
	@.venv/bin/workstation demo

test: setup-dev
	$(PYTHON) -m pytest $(SPREAD) -m "not long" $(ARGS)

test-long: setup-long
	WORKSTATION_OTHER_EXAMPLES=1 $(PYTHON) -m pytest $(SPREAD) $(ARGS)

torture: setup-dev
	$(PYTHON) -m pytest tests/test_torture.py -m long -rP $(ARGS)

check: setup-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup-dev
	$(PYTHON) -m tests.bench $(ARGS)

wheel: setup-dev
	$(PYTHON) -m hatchling build -t wheel

# Needs uv on the PATH; writes no address of any index.
lock:
	uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links pyproject.toml --extra build -o requirements/run.lock
	uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links pyproject.toml --extra dev -o requirements/dev.lock

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
