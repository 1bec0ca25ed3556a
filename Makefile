# The two commands of the README are `make run` and `make test`: each sets up what it needs.
# Everything is installed into .venv, from pinned versions whose hashes are checked.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
PINS := requirements

.PHONY: run test lint types perf perf-peers ollama mongo tiny-model tiny-model-eval vendor update clean help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

run: $(VENV)/.runtime ## Start the server on http://127.0.0.1:8000
	@$(BIN)/nova serve

test: $(VENV)/.test ## Run every test, with coverage by module
	$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

lint: $(VENV)/.test ## Check style, imports and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.test ## Check types
	$(BIN)/mypy

perf: $(VENV)/.test ## Measure speed; fails where a ratio misses its bound
	$(BIN)/python -m tools.perf $(ARGS)

perf-peers: $(VENV)/.test ## The same with others beside it: LiteLLM's proxy, aiperf, guidellm (8 GB)
	$(BIN)/python -m tools.perf --peers $(ARGS)

ollama: $(VENV)/.runtime ## Build a real Ollama for the tests, in a cache outside this folder
	PATH="$(abspath $(BIN)):$$PATH" tools/ollama/build.sh

mongo: ## Build a server that speaks MongoDB's protocol for the tests, in the same cache
	tools/mongo_server/build.sh

# The trainer needs JAX, in an environment of its own and outside this folder.
TINY := $(or $(NOVA_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/novasystem)/tiny-model
TINY_PYTHON := $(TINY)/venv/bin/python

tiny-model: $(TINY)/venv/.ready ## Train nova-tiny anew: two hours on two cores
	$(TINY_PYTHON) -m tools.tiny_model.train --minutes 115
	$(TINY_PYTHON) -m tools.tiny_model.export

tiny-model-eval: $(TINY)/venv/.ready ## Measure nova-tiny, and write the figures into its card
	$(TINY_PYTHON) -m tools.tiny_model.evaluate --json $(TINY)/report.json; status=$$?; \
	  $(TINY_PYTHON) -m tools.tiny_model.card --report $(TINY)/report.json && exit $$status

$(TINY)/venv/.ready: tools/tiny_model/requirements.txt
	$(PYTHON) -m venv $(TINY)/venv
	$(TINY_PYTHON) -m pip --disable-pip-version-check install --quiet --require-hashes -r $<
	@touch $@

vendor: ## Fetch the vendored files of the pages anew
	tools/vendor.sh

# The versions of the official client that the tests walk through, each in an environment of its own.
OPENAI_CLIENTS := 3.52.0 2.54.0 1.109.1

update: ## Compile the pins anew, at the newest versions
	$(PYTHON) -m venv $(VENV)/tools
	$(VENV)/tools/bin/pip install --quiet --upgrade uv
	for name in build runtime test; do \
	  case $$name in runtime) source=pyproject.toml;; *) source=$(PINS)/$$name.in;; esac; \
	  $(VENV)/tools/bin/uv pip compile --quiet --upgrade --universal --generate-hashes \
	    --python-version 3.11 --no-header --no-emit-index-url $$source -o $(PINS)/$$name.txt || exit 1; \
	done
	for version in $(OPENAI_CLIENTS); do \
	  echo "openai==$$version" | $(VENV)/tools/bin/uv pip compile --quiet --upgrade --universal \
	    --generate-hashes --python-version 3.11 --no-header --no-emit-index-url - \
	    -o $(PINS)/openai-$$version.txt || exit 1; \
	done

clean: ## Remove the environment and what the tools left behind
	rm -rf $(VENV) .coverage .coverage.* coverage.xml htmlcov dist build \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "NovaSystem needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V)."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing: install python3-venv and try again."; rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: $(VENV)/bin/python $(PINS)/runtime.txt $(PINS)/build.txt pyproject.toml
	@echo "Setting up $(VENV): once, for about a minute ..."
	@$(PIP) -r $(PINS)/runtime.txt -r $(PINS)/build.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.runtime $(PINS)/test.txt
	@$(PIP) -r $(PINS)/test.txt
	@touch $@
