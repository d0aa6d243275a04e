# make run: set everything up and start the server. make test: set everything up and pass the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PORT ?= 5000

.PHONY: run test check demo setup clean

run: $(STAMPS)/run
	@$(BIN)/lunaria models pull
	$(BIN)/lunaria serve --port $(PORT)

demo: $(STAMPS)/run
	@$(BIN)/lunaria models pull --photos
	$(BIN)/python -m lunaria.demo

setup: $(STAMPS)/run

# Two tests at a time, but one where restarts and overload are timed. make test PYTEST=...: only these.
ALONE := tests/faults/test_kill.py tests/faults/test_overload.py

test: $(STAMPS)/test check
	@$(BIN)/lunaria models pull --photos
ifdef PYTEST
	$(BIN)/pytest $(PYTEST)
else
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore=%)
	$(BIN)/pytest $(ALONE)
endif

check: $(STAMPS)/test
	$(BIN)/ruff check src tests bench training
	$(BIN)/ruff format --check src tests bench training
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Lunaria needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; } # Debian without python3-venv leaves half of it

$(STAMPS)/run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@mkdir -p $(STAMPS) && touch $@ $(STAMPS)/run

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
