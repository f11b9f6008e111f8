# Everything from a fresh machine: `make demo` to see it work, `make test` to check it,
# `make docs` to build the documentation into site/.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DIGEST ?= examples/*.txt
OUTPUT ?= tagged

# Threads that wait for one another are not to spin while other tests run.
export OMP_WAIT_POLICY ?= PASSIVE

LABEL_STUDIO := .label-studio
PORT ?= 8080

.PHONY: demo test label-studio docs install browser lint clean

demo: install
	$(BIN)/tagger train --labels labels --if-changed
	$(BIN)/tagger tag $(DIGEST) --output $(OUTPUT)

test: install browser lint
	$(BIN)/python -m pytest

label-studio: install
	$(BIN)/tagger review serve --folder $(LABEL_STUDIO) --port $(PORT)

docs: install
	$(BIN)/typer tagger.cli utils docs --name tagger --title Commands --output docs/reference/commands.md
	$(BIN)/mkdocs build --strict

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $@

# The tests look at Label Studio through Debian's Chromium.
browser:
	command -v chromium chromedriver >/dev/null || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && \
	  $$sudo apt-get install -y -qq --no-install-recommends chromium chromium-driver; }

clean:
	rm -rf $(VENV) $(LABEL_STUDIO)/venv $(OUTPUT) site build dist *.egg-info
