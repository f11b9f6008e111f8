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

# What hangs on nothing else is done beside it: installing takes one core.
MAKEFLAGS += --jobs=2

.PHONY: demo test pytest label-studio label-studio-environment docs licences sbom audit install \
  browser lint clean

demo: install
	$(BIN)/tagger train --labels labels --if-changed
	$(BIN)/tagger tag $(DIGEST) --output $(OUTPUT)

test: lint pytest

pytest: install browser label-studio-environment
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

label-studio: install
	$(BIN)/tagger review serve --folder $(LABEL_STUDIO) --port $(PORT)

# What 'tagger review serve' would install at its first use, by the same function; of ours it needs
# one package, so it goes on beside 'make install'.
label-studio-environment: $(VENV)/.torch
	$(BIN)/python -c 'from pathlib import Path; from tagger.review.server import install; \
	  install(Path("$(LABEL_STUDIO)/venv"), print)'

docs: install
	$(BIN)/typer tagger.cli utils docs --name tagger --title Commands --output docs/reference/commands.md
	$(BIN)/mkdocs build --strict

licences: install
	$(BIN)/python scripts/licences.py

# What 'make install' installs, for those who take a release over: CycloneDX 1.6.
sbom: install
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --spec-version 1.6 --output-format JSON --output-file dist/sbom.cdx.json $(BIN)/python

# Are vulnerabilities known of what is installed? No part of 'make test': the answer is a database's
# on the network, which changes from day to day, and the tests need no network and say the same
# tomorrow. Run it before a release, and once a week.
audit: install
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

install: $(VENV)/.installed

# First what no other package may choose the build of.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch filelock
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
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
