# Two commands, from a fresh clone with Python 3.11 and make only:
#   make demo    installs, runs the main job on real handwritten digits, and names the page to open
#   make test    installs, and runs every check
#   make records says which records of reproductions/ and benchmarks/ today's code would not make (minutes)
#   make scvi    installs scvi-tools beside elbowroom into an environment of its own, for audits of its models (minutes)
#   make search-postgres starts a PostgreSQL of its own, shares a search through it, and stops it (a minute)
PYTHON ?= python3.11
SCVI_PYTHON ?= $(PYTHON)
SCVI_VERSION = $(shell $(SCVI_PYTHON) -c 'import sys; print("1.5.1" if sys.version_info >= (3, 12) else "1.4.2")')
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test records scvi search-postgres install clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "== installing elbowroom and what it needs into $(VENV) (a few minutes the first time)"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@echo "== studying scikit-learn's handwritten digits: four VAEs, the classics beside them, one page (about two minutes on two idle cores)"
	@$(BIN)/elbowroom study digits --folder demo --overwrite
	@echo "== open demo/report.html in a browser"

test: $(STAMP)
	@echo "== ruff: format and lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@echo "== import-linter: rooms import only from the rooms before them"
	@$(BIN)/lint-imports
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== pytest: tests and doctests, with shapes checked at run time"
	@# two processes of two threads would wait for each other; bytecode is kept, as tests start processes of their own
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist worksteal --durations 10 -rs

records: $(STAMP)
	@echo "== the first steps of every record, computed again; data are looked for in ELBOWROOM_DATA and the cache"
	@$(BIN)/python reproductions/canary.py

# scvi-tools 1.5 asks for Python 3.12, `make scvi SCVI_PYTHON=python3.12`; of 3.11 the last is 1.4.2. No part of `make
# test`, which has doubles of its modules.
scvi: .venv-scvi/.installed
	@echo "== .venv-scvi/bin/elbowroom audit MODEL/model.pt CELLS.h5ad   (or er.adapters.from_scvi in .venv-scvi/bin/python)"

.venv-scvi/.installed: pyproject.toml constraints.txt
	@echo "== installing scvi-tools $(SCVI_VERSION) and elbowroom into .venv-scvi (a few minutes)"
	@test -d .venv-scvi || $(SCVI_PYTHON) -m venv .venv-scvi
	@.venv-scvi/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' 'scvi-tools==$(SCVI_VERSION)'
	@touch $@

search-postgres: $(STAMP)
	@echo "== a search that two processes share through a PostgreSQL, which is started for it and stopped after it"
	@$(BIN)/python tests/shared_search.py

clean:
	rm -rf $(VENV) .venv-scvi demo build
