# Two commands matter: `make run` and `make test`. .venv is made on demand from the lock files.
SHELL := /bin/sh
PYTHON ?=
ARGS ?=
BIN := .venv/bin
SETUP := PYTHON="$(PYTHON)" sh launch/setup.sh

.PHONY: run dev test test-slow crash-test lint bench clean lock environment development
.NOTPARALLEL:

run: environment
	@exec $(BIN)/python -m launch run

dev: environment
	@exec $(BIN)/python -m launch run --reload

test: development
	@exec $(BIN)/python -m launch test $(ARGS)

test-slow: development
	@exec $(BIN)/python -m launch test -m slow $(ARGS)

# make crash-test ARGS="kills=1000"; writes docs/crashes.md
crash-test: development
	@exec $(BIN)/python -m launch crash-test $(ARGS)

lint: development
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: environment
	@for file in bench/*.py; do \
	  name=$$(basename $$file .py); \
	  case $$name in __init__|installation|load|wandering) continue;; esac; \
	  echo "== $$name"; $(BIN)/python -m bench.$$name $(ARGS) || exit 1; \
	done

clean: environment
	@exec $(BIN)/python -m launch clean

# Needs uv, which writes no registry's address into these files.
lock:
	uv pip compile --python-version 3.11 --generate-hashes --no-header $(ARGS) requirements.in -o requirements.txt
	uv pip compile --python-version 3.11 --generate-hashes --no-header $(ARGS) -c requirements.txt requirements-dev.in -o requirements-dev.txt

environment:
	@$(SETUP) requirements.txt

development:
	@$(SETUP) requirements-dev.txt
