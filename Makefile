# Every target makes what it needs; remove .venv to start over.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := tests/data/telegram_export

.PHONY: install install-dev lint check test run

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

# torch first and by itself, pinned, so that pip never picks a build with CUDA for a test run.
$(VENV)/.installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[train,dev]'
	touch $(VENV)/.installed $@

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest

run: install
	$(BIN)/penapisan score $(SAMPLE) -o sample.scores.jsonl --report sample.report.html
