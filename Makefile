# Everything that can be done here; `make help` lists it. CI runs the same targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
PACKAGES := appliance models runtime console provisioning tests benchmarks

# Compiled modules are kept: every part of the box starts seconds sooner.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-engines demo down test test-engines test-console test-all test-unit lint type imports fmt bench lock

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

setup: ## check the machine, then install what is missing (nothing, the second time)
	@$(PYTHON) -m provisioning.setup

setup-engines: setup ## also the environments of the real engines (about 12 GB)
	@$(PYTHON) -m provisioning.setup --engines

demo: ## start the box and place a real call; CALLER=path.wav uses a recording of yours, CALLS=n places n at once, ENGINES=real takes Triton, vLLM and Coqui
	@$(PYTHON) -m provisioning.setup --for-box $(if $(filter real,$(ENGINES)),--engines)
	@$(VENV)/appliance demo $(if $(ENGINES),--engines "$(ENGINES)") $(if $(CALLER),--caller "$(CALLER)") $(if $(CALLS),--calls "$(CALLS)")

down: ## stop the box that `make demo` left running; its data stays
	@test -x $(VENV)/appliance || { echo "Nothing is set up here, so nothing runs."; exit 0; }; $(VENV)/appliance down

test: setup lint type imports ## set up, lint, type, import rules, every test; PYTEST="-k name" or PYTEST=path narrows
	@$(VENV)/python -m tests.lanes $(PYTEST)

test-engines: setup-engines ## the real engines: Triton with NeMo, vLLM, Coqui, with tiny models on the CPU
	@TRUNKLINE_TEST_RESULTS=var/test-results/engines $(VENV)/python -m tests.run $(or $(PYTEST),tests/engines)

test-console: setup ## the console: Keycloak, a real browser, the API
	@TRUNKLINE_TEST_RESULTS=var/test-results/console $(VENV)/python -m tests.run $(or $(PYTEST),tests/console)

test-all: ## the three of them, one after the other, whatever fails; GROUPS="test test-console" chooses
	@$(PYTHON) -m tests.all $(GROUPS)

test-unit: setup ## the quick tests only
	@$(VENV)/python -m tests.run tests/unit $(PYTEST)

lint: ## formatting and lint rules
	@$(VENV)/ruff format --check --quiet $(wildcard $(PACKAGES))
	@$(VENV)/ruff check --quiet $(wildcard $(PACKAGES))

type: ## the strict type checker
	@$(VENV)/basedpyright --warnings

imports: ## who may import whom
	@$(VENV)/lint-imports --no-cache

fmt: ## format, and mend what can be mended
	@$(VENV)/ruff check --fix --quiet $(wildcard $(PACKAGES)) || true
	@$(VENV)/ruff format $(wildcard $(PACKAGES))

bench: setup ## latency on the wire, overhead, round trip
	@$(VENV)/python -m benchmarks.phone_turns $(BENCH)

lock: ## choose the newest allowed versions anew and write lock/requirements.txt
	@$(PYTHON) -m provisioning.setup.lock
