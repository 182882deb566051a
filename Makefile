# `make run` and `make test` set everything up from a fresh clone.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

SOURCE ?= stream_avs/assets/talkers.mp4
PUBLISH ?= tcp://127.0.0.1:5557
OVERLAY ?= out/overlay.mp4
ARGS ?=
ROOMS ?= tests/test_*.py tests/*/

export OMP_WAIT_POLICY := PASSIVE

.PHONY: run test lint bench clean help

help:  ## show this help
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: $(READY)  ## masks of the bundled clip, or of SOURCE=webcam | file | rtsp://...
	$(BIN)/stream-avs run --source "$(SOURCE)" --publish "$(PUBLISH)" --overlay "$(OVERLAY)" $(ARGS)

test: $(READY)  ## the test suite, room by room; ARGS="-m slow" for the slow tests, ROOMS=tests/engine for one room
	@# a process for each room: what one leaves behind cannot reach another; 5 means a room without such tests
	@failed=""; for room in $(ROOMS); do \
	  [ "$$room" = tests/__pycache__/ ] && continue; \
	  $(BIN)/python -m pytest $(ARGS) $$room; code=$$?; \
	  [ $$code -eq 0 ] || [ $$code -eq 5 ] || failed="$$failed $$room"; \
	done; [ -z "$$failed" ] || { echo "failed in:$$failed"; exit 1; }

lint: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## what the pipeline adds to a mask's age, and how slow readers affect fast ones
	$(BIN)/stream-avs bench $(ARGS)

clean:  ## remove what the targets above made
	rm -rf $(VENV) out build *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Use: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	# nodes/ is mapped into the package; setuptools warns of that in every editable install
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --progress-bar off --editable '.[live,record,web,train,dev]'
	@touch $@
