# make run    start the page on http://127.0.0.1:7860
# make test   the whole test suite
# make lint   ruff and mypy
# make bench  what one pass saves, measured on this machine
#
# ARGS goes to the program: make run ARGS="--port 8000", make test ARGS="-m 'not slow' -x".
# Tests run in two processes, make test JOBS=4 in four.
# Another Python: make run PYTHON=python3.12. Dependencies go into .venv and nowhere else.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: run test lint bench chromium
.DELETE_ON_ERROR:

run: $(VENV)/.stamp-run
	@$(BIN)/python app.py $(ARGS)

test: $(VENV)/.stamp-dev chromium
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.stamp-run
	@$(BIN)/python -m resnet.bench $(ARGS)

# A stamp is newer than what it was made from, or it is made again.
$(VENV)/.stamp-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "This needs Python 3.11 or newer; name one with make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-run: requirements.txt $(VENV)/.stamp-python
	@echo "Installing what the app needs; the first time this takes minutes (PyTorch is large)."
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.stamp-dev: requirements-dev.txt $(VENV)/.stamp-run
	$(PIP) -r requirements-dev.txt
	@touch $@

# The browser tests drive Debian's Chromium; without it they are skipped, and say so.
chromium:
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends chromium fonts-liberation \
		|| echo "Chromium could not be installed; browser tests will be skipped."; \
	else echo "Chromium is missing (apt install chromium); browser tests will be skipped."; fi
