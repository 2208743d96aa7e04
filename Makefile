# `make` lists the targets. Each one makes or repairs its own environment in .venv first: Python 3.11 or newer is all
# it needs (another one: make PYTHON=/path/to/python3 ...).
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help reproduce verify test lab benchmark costs lint lock clean
MAKEFLAGS += --no-print-directory

VENV := .venv
READY := $(VENV)/.ready
scale ?=
UV := $(shell sed -n 's/^uv==\([^ ;]*\).*/uv==\1/p' requirements.lock)

CALLERS_PATH := $(PATH)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
# The package must come from src/, whatever the caller's shell has set up.
unexport PYTHONPATH PYTHONHOME
# Where the shell forbids to keep compiled modules, each of our processes would compile PyTorch again: seconds.
unexport PYTHONDONTWRITEBYTECODE

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

reproduce: $(READY) ## compute everything, write the report, compare with the committed tables [scale=smoke|laptop|paper]
	@$(if $(scale),python -m kinks.pipeline scale $(scale) &&) exec python -m kinks.pipeline reproduce

verify: $(READY) ## say in seconds whether the committed results belong to the committed code
	@python -m kinks.pipeline verify

test: $(READY) ## run all tests, on two cores
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile

lab: $(READY) ## open the notebooks in JupyterLab; what you try there goes to lab/
	@OMP_NUM_THREADS=1 jupyter lab --notebook-dir=. notebooks

benchmark: $(READY) ## time ours against the loop the paper describes
	@python -m benchmarks

costs: $(READY) ## measure a few steps of every published training run: its time and memory on this machine
	@python -m benchmarks costs

lint: $(READY) ## check style
	@ruff check && ruff format --check

lock: $(READY) ## resolve the pins of pyproject.toml anew into requirements.lock
	@uv pip compile pyproject.toml --extra pipeline --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean: ## remove scratch (shards, logs, lab/), keep results and environment
	@rm -rf .kinks lab .pytest_cache .ruff_cache

# The stamp is taken away before the environment is touched and put back at the end, so an interrupted attempt is
# known by its absence: then the environment is made from nothing.
$(READY): requirements.lock pyproject.toml
	@set -e; \
	if [ ! -f $(READY) ]; then \
		python=$$(PATH="$(CALLERS_PATH)" sh .ci/python $(PYTHON)); \
		echo "making the environment in $(VENV) with $$python"; \
		PIP_DISABLE_PIP_VERSION_CHECK=1 "$$python" -m venv --clear $(VENV); \
	fi; \
	rm -f $(READY); \
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(UV); \
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(VENV)/bin/uv pip sync --quiet --require-hashes requirements.lock; \
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(VENV)/bin/uv pip install --quiet --no-deps --no-build-isolation -e .; \
	touch $(READY)
