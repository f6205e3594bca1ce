# `make demo` and `make test` set up everything they need in .venv and then run.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint setup bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt hatch_build.py
	@echo "==> setting up $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(READY)
	@echo "==> choosing a loss for the wages of 5,000 football players"
	@mkdir -p demo
	$(BIN)/lossmith choose examples/data/player_wages.csv --target wage_eur --report demo/report.html
	@echo "==> open demo/report.html"

test: $(READY)
	@echo "==> tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(READY)
	@echo "==> lint"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "==> types"
	@$(BIN)/python -m lossmith.frameworks.stubs
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks.startup

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
