# Everything a contributor runs; `make` alone lists it. Needs Python 3.11 or newer with venv; the rest is installed into .venv.

PYTHON ?= python3
APP ?= inventory
ARGS ?=
TESTS ?= tests
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE  # every process that the tests start would compile the package, and pytest every test file, anew

VENV := .venv
PY := $(VENV)/bin/python
REQUIREMENTS := $(wildcard examples/*/requirements.txt)
NATIVE := $(wildcard src/measurand/core/native/*.[ch] src/measurand/core/guard/*.c)
OLDEST := .cache/oldest

.PHONY: help demo test installed test-native test-pure bench bench-check lint types build servers clean
.DEFAULT_GOAL := help

help:
	@echo "make demo          start examples/\$$(APP), four workers, under traffic, and print what to open   (APP=$(APP), ARGS=)"
	@echo "make test          the whole suite on the C core, then what depends on the core on its Python twin"
	@echo "make test-native   the first half     make test-pure   the second half   (TESTS=tests/metrics ARGS='-k gauge')"
	@echo "make servers       fetch the real servers that some tests need, where the system has none"
	@echo "make bench         benchmarks beside the peers; writes benchmarks/RESULTS.md; make bench-check fails if a bound is missed"
	@echo "make lint types    ruff; mypy --strict"
	@echo "make build         wheel and sdist in dist/, each tried in an empty environment"
	@echo "make clean         remove what the above made"

demo: $(VENV)/.with-requirements-of-$(APP)
	$(PY) -m examples.$(APP).demo $(ARGS)

test: test-native test-pure

installed: $(VENV)/.with-test $(OLDEST)/.complete

test-native: installed
	$(PY) -m pytest $(TESTS) $(ARGS)

# `once` marks what does not depend on the core, or runs over both twins by itself: see CONTRIBUTING.md.
test-pure: installed
	MEASURAND_PURE=1 $(PY) -m pytest -m "not once" $(TESTS) $(ARGS)

servers:
	.ci/servers

bench: $(VENV)/.with-bench
	$(PY) -m benchmarks $(ARGS)

bench-check: $(VENV)/.with-bench
	$(PY) -m benchmarks.check

lint: $(VENV)/.with-lint
	$(PY) -m ruff check . .ci

types: $(VENV)/.with-lint
	$(PY) -m mypy

build: $(VENV)/.with-build
	PYTHON=$(PY) .ci/build

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info src/measurand/core/_*.so
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what has been installed stays until the file that asked for it changes.

$(VENV)/.with-requirements-of-%: examples/%/requirements.txt $(VENV)/.package
	$(PY) -m pip install --quiet --requirement $<
	@touch $@

$(VENV)/.with-test: $(REQUIREMENTS) $(VENV)/.package
	$(PY) -m pip install --quiet --group test $(addprefix --requirement ,$(REQUIREMENTS))
	@touch $@

$(OLDEST)/.complete: tests/integrations/oldest.txt $(VENV)/.pip
	rm -rf $(OLDEST)
	@mkdir -p $(OLDEST)
	@if $(PY) -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then set -x; \
	  $(PY) -m pip install --quiet --no-warn-conflicts --target $(OLDEST) --requirement $<; \
	else echo "the oldest supported versions of frameworks are older than this Python: their suites are left out"; fi
	@touch $@

$(VENV)/.with-%: $(VENV)/.package
	$(PY) -m pip install --quiet --group $*
	@touch $@

$(VENV)/.package: pyproject.toml setup.py $(NATIVE) $(VENV)/.pip
	$(PY) -m pip install --quiet --editable .
	@touch $@

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "measurand needs Python 3.11 or newer; \`$(PYTHON) --version\` says: $$($(PYTHON) --version 2>&1)"; \
	  echo "Name another one: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "\`$(PYTHON)\` cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet 'pip>=25.1'  # the first to install dependency groups
	@touch $@
