# Warmline: `make` alone prints this help.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test check connector golden bench bench-identity format lock clean

help: ## print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# One stamp: made again whenever the lock or the project's metadata changes.
.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Warmline needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: .venv/.ready ## the main job on simulators and SQLite, in about two minutes (KEEP=1 keeps it up, SEED=n another week)
	$(BIN)/warmline demo $(if $(KEEP),--keep) $(if $(SEED),--seed $(SEED))

test: .venv/.ready ## all tests; PostgreSQL and Chromium are used where found
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

check: .venv/.ready ## lint, format, types, floor plan
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

connector: .venv/.ready ## lay out a new connector's folder (NAME=lever), ready to pass the contract suite
	@$(BIN)/python -m warmline.testing.contract new "$(NAME)"

golden: .venv/.ready ## a connector's golden events anew, from its fixtures (NAME=greenhouse); read the difference
	@$(BIN)/python -m warmline.testing.contract golden "$(NAME)"

bench: .venv/.ready ## speed, as a table and as build/bench.json
	$(BIN)/python -m bench

bench-identity: .venv/.ready ## who is who, against a generated export with known truth (SPLIT=dev, PEOPLE=n, SEED=n)
	$(BIN)/python -m bench.identity $(if $(SPLIT),--split $(SPLIT)) $(if $(PEOPLE),--people $(PEOPLE)) $(if $(SEED),--seed $(SEED))

format: .venv/.ready ## format and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	  --no-annotate --no-header --no-emit-index-url --output-file requirements.lock

clean: ## remove what the other targets made
	rm -rf .venv build demo-project
