# PYTHON is any Python from 3.11 on; everything is installed into .venv, nothing outside it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test test-slow simulations test-floor lint format benchmark benchmark-models example clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

.venv/runners: pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "Installing distortion and its runners; PyTorch is large, this takes a minute or two ..."
	$(PIP) install --editable ".[runners]"
	@touch $@

.venv/test: .venv/runners
	$(PIP) install --editable ".[test]"
	@touch $@

demo: .venv/runners  ## train the embedded study, analyse it, render its report
	$(BIN)/distortion-run run digits -o data
	$(BIN)/distortion report data/digits -o reports/digits --force > /dev/null
	@echo "Open $(CURDIR)/reports/digits/index.html"

test: .venv/test  ## the quick suite
	$(BIN)/python -m pytest -m "not slow and not simulation" -n auto

test-slow: .venv/test  ## whole studies and short simulations
	$(BIN)/python -m pytest -m slow -n auto

simulations: .venv/test  ## coverage and error rates by simulation, some ten minutes
	$(BIN)/python -m pytest -m simulation -n auto

lint: .venv/test  ## style, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/test  ## rewrite to the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-floor:  ## the quick suite on the oldest dependencies that pyproject admits
	$(PYTHON) -m venv .venv-floor
	.venv-floor/bin/python -m pip install --quiet uv
	.venv-floor/bin/uv pip install --quiet --python .venv-floor --resolution lowest-direct \
		--editable ".[test]"
	@# Old releases warn about newer ones beside them; only failures count here.
	.venv-floor/bin/python -m pytest -m "not slow and not simulation" -n auto -o filterwarnings=default

benchmark: .venv/test  ## time and memory of the analysis on large logs
	$(BIN)/python tests/benchmarks/slopes.py
	$(BIN)/python -m tests.benchmarks.streaming

.venv-peers/done:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check --quiet install \
		formulaic gpboost lme-python mixedlm polars pyarrow statsmodels
	@touch $@

benchmark-models: .venv/test .venv-peers/done  ## mixed models beside other programs (R if installed); hours
	$(BIN)/python -m tests.benchmarks.models.compare
	$(BIN)/python -m tests.benchmarks.models.scaling

example: .venv/runners  ## renew the committed example log and its report
	$(BIN)/distortion-run run digits -o data
	$(BIN)/distortion pack data/digits -o data/example.parquet --force
	$(BIN)/distortion report data/example.parquet -o reports/example --force

clean:  ## remove what was installed and built
	rm -rf .venv .venv-floor .venv-peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
