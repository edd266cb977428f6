# `make setup` once; then `make demo`, `make test`, `make check clients browser hammer` (what CI runs), `make bench`, `make docs`.
# `make setup CPU=1` takes PyTorch without CUDA, which is far smaller.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
EDITOR_STAMP := $(VENV)/.editor-stamp
TORCH_INDEX := $(if $(CPU),--extra-index-url https://download.pytorch.org/whl/cpu)
PYTEST_WORKERS ?= 2
PYTEST ?= $(BIN)/pytest -n $(PYTEST_WORKERS)

.DEFAULT_GOAL := help
.PHONY: help setup demo test clients browser hammer endurance check lint types docs docs-check gallery node-pictures bench bench-smoke clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(STAMP) ## Make a virtual environment with everything in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "graphcore needs Python 3.11 or newer: make setup PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(TORCH_INDEX) -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP) ## Make a first picture with the embedded checkpoint
	$(BIN)/graphcore run workflows/text-to-image.json --output-dir output

test: $(STAMP) ## Run the tests
	$(PYTEST)

clients: $(STAMP) ## Try other people's clients, fetched from PyPI and npm (GRAPHCORE_CLIENTS=DIR keeps them)
	$(BIN)/pytest -m clients

browser: $(EDITOR_STAMP) ## Try the pages and the node editor in Chromium
	$(BIN)/pytest -m browser

hammer: $(STAMP) ## Send the server made-up requests of every route (a minute)
	$(BIN)/pytest -m slow tests/unit/server/test_the_api_describes_itself.py

endurance: $(STAMP) ## Try the server for long: made-up requests, a hundred kills, bombs, ten thousand runs (ten minutes)
	$(BIN)/pytest -m slow tests/unit/server tests/security tests/acceptance/server

$(EDITOR_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(TORCH_INDEX) -c constraints.txt -e '.[editor]'
	@touch $(EDITOR_STAMP)

check: $(STAMP) lint types docs-check test bench-smoke ## What CI runs, save for `clients`, `browser` and `hammer`

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

docs: $(STAMP) ## Write the generated pages anew
	$(BIN)/python -m tools.docs

gallery: $(STAMP) ## Run the shipped workflows for docs/gallery.md (minutes)
	$(BIN)/python -m tools.gallery

node-pictures: $(STAMP) ## Run the nodes for the pictures of docs/nodes (minutes); `make docs` then shows them
	$(BIN)/python -m tools.node_pictures

docs-check: $(STAMP)
	$(BIN)/python -m tools.docs --check

bench: $(STAMP) ## Measure, and compare with the limits
	$(BIN)/python -m benchmarks

bench-smoke: $(STAMP)
	$(BIN)/python -m benchmarks --smoke

clean: ## Remove what was made, the virtual environment included
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
