# One verb each; `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
# rows.py is what the others write with
BENCHMARKS := $(filter-out rows misbehaving __init__,$(basename $(notdir $(wildcard benchmarks/*.py))))

.DEFAULT_GOAL := help
.PHONY: help setup test lint documents bench run

help: ## list the verbs
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup: ## create .venv with everything the tests need
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -e ".[test]"

test: ## style, types, import contracts and every test, as continuous integration runs them
	$(BIN)/python scripts/check.py

lint: ## fix style and format, then check types and import contracts
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy
	$(BIN)/lint-imports

documents: ## renew the generated blocks of README.md and docs/
	$(BIN)/python -m scripts.documents

bench: ## run every benchmark; each adds its row to benchmarks/results.txt
	for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name | tee -a benchmarks/results.txt; done

run: ## open the dashboard
	$(BIN)/streamlit run app.py
