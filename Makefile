# All that this needs is make and Python 3.11 or later; uv makes it quicker where it is installed.

VENV   ?= .venv
BIN    := $(VENV)/bin
MONTHS ?= 1,2,3
JOBS   ?= 2

# The first of these that is new enough. A shim may exist and fail, so each is asked for its version: once, and only
# where an environment is to be made.
ifndef PYTHON
PYTHON = $(eval PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$name"; break; }; done))$(PYTHON)
endif
UV := $(shell command -v uv 2>/dev/null)

# Start-up is measured, and felt, with compiled byte code.
unexport PYTHONDONTWRITEBYTECODE
# An activated environment is not the one we install into.
unexport VIRTUAL_ENV
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help demo check lint layers quick test bench fmt coverage clean

help:
	@echo "make demo      install, then predict late flights: examples/flights (MONTHS=$(MONTHS))"
	@echo "make test      everything: format, lint, types and all tests"
	@echo "make check     the same without the slow tests; under two minutes"
	@echo "make fmt       format the source"
	@echo "make bench     measure against floors taken in the same run"
	@echo "make coverage  which lines and branches the tests reach"
	@echo "make clean     remove $(VENV) and what tools left"

demo: $(VENV)/.demo
	$(BIN)/weft run examples/flights/flights.py months=$(MONTHS)

check: lint layers quick

lint: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/test_layers.py

quick: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n $(JOBS) -m "not slow" --ignore=tests/test_layers.py

test: lint
	$(BIN)/python -m pytest -n $(JOBS)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

fmt: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Not under xdist: workers of workers would write their data after it was combined.
coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --show-missing
	$(BIN)/coverage html -q

clean:
	rm -rf $(VENV) .coverage* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@if [ -z "$(PYTHON)$(UV)" ]; then \
		echo "Weft needs Python 3.11 or later, and none was found. Install one, or say which: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi
	@if [ -n "$(PYTHON)" ] && ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "Weft needs Python 3.11 or later; PYTHON=$(PYTHON) is older or does not run" >&2; \
		exit 1; \
	fi
ifdef UV
	$(UV) venv --quiet --allow-existing --python "$(or $(PYTHON),>=3.11)" $(VENV)
else
	$(PYTHON) -m venv $(VENV) || { \
		echo "python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
endif

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(call install,.[demo])
	@touch $@

# The development set holds the demo's.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(call install,.[dev])
	@touch $@ $(VENV)/.demo

ifdef UV
define install
$(UV) pip install --quiet --python $(BIN)/python -e "$(1)"
endef
else
define install
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
$(BIN)/python -m pip install --quiet --disable-pip-version-check -e "$(1)"
endef
endif
