# `make demo` and `make test` set up everything they need in .venv and then run.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two set-ups of one environment: to run Lossmith, and to work on it. The second contains the first.
LAB := $(VENV)/.lab
DEV := $(VENV)/.dev
FILES := pyproject.toml constraints.txt hatch_build.py
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test lint setup bench clean

setup: $(DEV)

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)

$(LAB): $(FILES) | $(BIN)/python
	@echo "==> setting up $(VENV) to run Lossmith (0.6 GB, about half a minute)"
	@$(PIP) ".[lab]"
	@touch $@

$(DEV): $(FILES) | $(BIN)/python
	@echo "==> setting up $(VENV) to work on Lossmith (3.5 GB: the tests compare with PyTorch, JAX and Keras)"
	@$(PIP) ".[dev]"
	@touch $(LAB) $@

demo: $(LAB)
	@echo "==> choosing a loss for the wages of 5,000 football players"
	@mkdir -p demo
	$(BIN)/lossmith choose examples/data/player_wages.csv --target wage_eur --report demo/report.html
	@echo "==> open demo/report.html"

# Hundreds of tests start a Python of their own, which shall not compile the library anew each time.
test: $(DEV)
	@echo "==> tests"
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(DEV)
	@echo "==> lint"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "==> types"
	@$(BIN)/python -m lossmith.frameworks.stubs
	$(BIN)/mypy

bench: $(DEV)
	@echo "==> a quick run, about three minutes; python -m benchmarks.cpu measures everything in a quarter of an hour"
	$(BIN)/python -m benchmarks.cpu --quick
	$(BIN)/python -m benchmarks.startup

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
