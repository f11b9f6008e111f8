# Everything from a fresh machine. `make demo` tags a digest, `make demo-train` trains and compares
# models of your own. Three suites check it: `make check` in minutes after each change, `make test`
# before a merge, `make acceptance` before a release. `make docs` builds the documentation into site/.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DIGEST ?= examples/*.txt
OUTPUT ?= tagged

# Threads that wait for one another do not spin while other tests run.
export OMP_WAIT_POLICY ?= PASSIVE

# Modules are compiled when they are first imported (below). If the compiled ones were not kept, each
# process would compile those of PyTorch and MLflow again, for half a minute.
unexport PYTHONDONTWRITEBYTECODE

LABEL_STUDIO := .label-studio

define CHECK_PYTHON
$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
endef

# Installing takes one core, so independent steps run two at a time.
MAKEFLAGS += --jobs=2

SLOW := acceptance or training or label_studio or browser or ray or spark or mlflow or real_encoder
# One process more than cores, since some wait for a server.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 1, 4))')
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) \
  --dist loadfile --no-loadscope-reorder

.PHONY: demo demo-train model check test acceptance results lint label-studio-environment docs licences \
  sbom audit install browser clean

demo: $(VENV)/.light
	$(BIN)/tagger tag $(DIGEST) --output $(OUTPUT) --replace
	$(BIN)/tagger report $(OUTPUT) --output $(OUTPUT)/report.html

# The second version has the encoder of the first and new classifiers, which takes seconds.
demo-train: $(VENV)/.training
	$(BIN)/tagger train --labels labels --if-changed
	$(BIN)/tagger train --labels labels --if-changed --heads-only
	$(BIN)/tagger history
	$(BIN)/tagger compare --digest $(firstword $(wildcard $(DIGEST)))
	@echo "The runs: $(BIN)/tagger ui"

# The model that ships with tagger, anew. TEXTS are files or folders with the abstracts of the papers
# in labels/real.jsonl.
model: $(VENV)/.training
	$(BIN)/python scripts/default_model.py $(TEXTS)

check: lint
	$(PYTEST) -m 'not ($(SLOW))'

test: lint browser label-studio-environment
	$(PYTEST) -m 'not acceptance'

acceptance: $(VENV)/.acceptance browser label-studio-environment
	$(PYTEST) -m acceptance

# Every figure of docs/results.md, one experiment after the other: hours. It can be interrupted and
# given again. QUICK=1 only shows that all run, in minutes.
results: $(VENV)/.installed browser $(if $(QUICK),,label-studio-environment)
	$(BIN)/python experiments/run_all.py $(if $(QUICK),--quick)

# 'tagger review serve' installs the same at its first use.
label-studio-environment: $(VENV)/.torch
	$(BIN)/python -c 'from pathlib import Path; from tagger.review.server import install; \
	  install(Path("$(LABEL_STUDIO)/venv"), print)'

docs: $(VENV)/.acceptance
	$(BIN)/typer tagger.cli utils docs --name tagger --title Commands --output docs/reference/commands.md
	$(BIN)/mkdocs build --strict

licences: $(VENV)/.acceptance
	$(BIN)/python scripts/licences.py

# Everything that 'make acceptance' installs, as a bill of materials in CycloneDX 1.6.
sbom: $(VENV)/.acceptance
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --spec-version 1.6 --output-format JSON --output-file dist/sbom.cdx.json $(BIN)/python

# Known vulnerabilities of the pinned versions. Not part of a suite: it asks a database on the
# network, whose answer changes from day to day. Run it before a release, and once a week.
audit: $(VENV)/.acceptance
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

install: $(VENV)/.installed

# Tagging needs no PyTorch.
$(VENV)/.light: constraints.txt pyproject.toml
	$(CHECK_PYTHON)
	test -e $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[formats]'
	touch $@

# PyTorch comes first, so that no other package chooses its build. Modules are compiled when they are
# first imported: most never are.
$(VENV)/.torch: constraints.txt
	$(CHECK_PYTHON)
	test -e $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt torch filelock lazy-loader
	touch $@

$(VENV)/.training $(VENV)/.installed $(VENV)/.acceptance: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@
$(VENV)/.training: EXTRAS := formats,train,review
$(VENV)/.installed: EXTRAS := all,dev
$(VENV)/.acceptance: EXTRAS := all,dev,acceptance

# Tests open Label Studio in Debian's Chromium.
browser:
	command -v chromium chromedriver >/dev/null || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && \
	  $$sudo apt-get install -y -qq --no-install-recommends chromium chromium-driver; }

clean:
	rm -rf $(VENV) $(LABEL_STUDIO)/venv site build dist *.egg-info
