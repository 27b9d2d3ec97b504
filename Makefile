# Everything a person types here; `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
CONFIG ?= repos.toml
WORKERS ?= 2
# Slow tests stand together: who has done his own takes from the others.
SPREAD = -n $(WORKERS) --dist worksteal
# More for pytest: make test ARGS='-k recover'
ARGS ?=

BIN := .venv/bin
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
CHECKED := syncer tests bench migrations deploy

# What the tests start that Debian has: servers of upstreams and of the catalog.
PACKAGES := git git-lfs postgresql openssh-server e2fsprogs prometheus systemd libseccomp2

##@ Use

.PHONY: help
help: ## List what can be made
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(RUN) ## Install what is missing and run the daemon on repos.toml
	@exec $(BIN)/syncer --config '$(CONFIG)' daemon

.PHONY: demo
demo: $(DEV) ## Mirror a few repositories that change while you watch, offline
	@exec $(BIN)/python -m tests.servers.demo $(ARGS)

##@ Work on it

.PHONY: test
test: packages servers ## Install what the tests need and run them
	@$(BIN)/pytest $(SPREAD) $(ARGS)

.PHONY: test-long
test-long: packages servers ## Run them all, every crash point included (hours)
	@$(BIN)/pytest $(SPREAD) --long $(ARGS)

.PHONY: coverage
coverage: packages servers ## Run the tests and report branch coverage of what runs in them
	@$(BIN)/pytest $(SPREAD) --cov=syncer --cov-branch \
	  --cov-report=term-missing:skip-covered $(ARGS)

.PHONY: lint
lint: $(DEV) ## Check style, format and types
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/mypy $(CHECKED)

.PHONY: format
format: $(DEV) ## Put the code in its format
	@$(BIN)/ruff check --fix $(CHECKED)
	@$(BIN)/ruff format $(CHECKED)

.PHONY: bench
bench: packages servers ## Measure against git, curl and rclone, printing ratios
	@missed=0; for each in $$(grep -lE '^def main\(\) -> int:' bench/*.py); do \
	  echo "=== $$each"; \
	  PYTHONPATH=. $(BIN)/python "$$each" $(ARGS) || missed=1; \
	done; exit $$missed

.PHONY: clean
clean: ## Remove what was built and cached; what was mirrored stays
	@rm -rf .venv build dist .coverage* htmlcov .hypothesis \
	  .mypy_cache .pytest_cache .ruff_cache *.egg-info
	@find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# A virtual environment of its own, made once and again when pyproject.toml changes.
.venv/bin/python:
	@echo 'Creating .venv ...'
	@$(PYTHON) -m venv .venv || { \
	  echo 'error: no virtual environment could be made; nothing was installed' >&2; \
	  echo 'hint: apt-get install python3-venv' >&2; exit 1; }

$(RUN): pyproject.toml | .venv/bin/python
	@echo 'Installing syncer into .venv ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): pyproject.toml | .venv/bin/python
	@echo 'Installing syncer and its tests'"'"' needs into .venv ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(RUN) $@

# What Debian has not: S3 servers and a new git-lfs, built once into
# ${XDG_CACHE_HOME:-~/.cache}/syncer-test, or into $SYNCER_TEST_CACHE.
.PHONY: servers
servers: $(DEV) ## Build the S3 servers and git-lfs that tests start (minutes, once)
	@$(BIN)/python -m tests.servers.toolchain

# Only root can install them, and only what is missing; others are told.
.PHONY: packages
packages:
	@command -v dpkg-query > /dev/null || exit 0; \
	missing=(); \
	for name in $(PACKAGES); do \
	  status=$$(dpkg-query --show --showformat='$${db:Status-Status}' "$$name" \
	    2> /dev/null || true); \
	  [[ $$status == installed ]] || missing+=("$$name"); \
	done; \
	if (( $${#missing[@]} == 0 )); then exit 0; fi; \
	if (( $$(id -u) != 0 )); then \
	  echo "The tests that need them are skipped without: $${missing[*]}" >&2; \
	  exit 0; \
	fi; \
	echo "Installing $${missing[*]} ..."; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -qq -o Acquire::Retries=3; \
	apt-get install -qq -o Acquire::Retries=3 --yes \
	  --no-install-recommends "$${missing[@]}" > /dev/null

##@ Hand it on

.PHONY: wheel
wheel: .venv/bin/python ## Build dist/syncer-VERSION-py3-none-any.whl
	@$(BIN)/python -m pip --quiet --disable-pip-version-check wheel --no-deps \
	  --wheel-dir dist . $(ARGS)
	@ls dist/syncer-*.whl

.PHONY: deb
deb: .venv/bin/python ## Build dist/syncer_VERSION_ARCH.deb, on the Debian it is for
	@$(BIN)/python -m deploy.debian.build $(ARGS)

.PHONY: stress
stress: $(RUN) ## Put load on an installation: make stress ARGS=--help
	@$(BIN)/python -m deploy.stress $(ARGS)
