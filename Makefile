# make demo: watch it work.  make test: what CI runs.  Another Python: make PYTHON=python3.13 …
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -q
AIRFLOW := .cache/airflow
COVERED := tests/unit tests/database/feed tests/faults/feed tests/faults/test_key_sets.py \
	tests/database/tokens/test_revocation.py
export ASYNCAUTH_TEST_AIRFLOW := $(CURDIR)/$(AIRFLOW)/bin/python
PEERS := .cache/peers
export ASYNCAUTH_TEST_PEERS := $(CURDIR)/$(PEERS)/bin/python
export NO_MKDOCS_2_WARNING := 1
# Where it is set, each of the many processes of the tests would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo serve test test-all coverage mutants lint types docs bench bench-airflow bench-instructions dist lowest fuzz \
	servers clean

help:
	@echo "make demo       see a server log in, allow, refuse and revoke (ends by itself)"
	@echo "make serve      the same server, left running"
	@echo "make test       everything CI runs; PARTS='lint unit' for some of it"
	@echo "make test-all   the same with full numbers"
	@echo "make coverage   what decides and what keeps memory true: every line and every branch is tested"
	@echo "make mutants    what decides and verifies, changed in small ways: tests notice; MUTANTS='*.verify.*' for some of it"
	@echo "make fuzz       try hostile tokens, keys and hashes for FUZZ_SECONDS (60)"
	@echo "make docs       the documentation as a site, in build/site"
	@echo "make bench      what it costs, beside floors and peers (five minutes); bench-airflow: Airflow's API server"
	@echo "make bench-instructions   count instructions, compare with those recorded; needs valgrind or perf"
	@echo "make dist       build what is released into dist/, and check it on every Python that is here"
	@echo "make lowest     the oldest version of every dependency that is allowed"
	@echo "make lint types clean"

demo: $(VENV)/demo.stamp
	@$(BIN)/python -m examples.demo

serve: $(VENV)/demo.stamp
	@$(BIN)/python -m examples.demo --serve

test: $(VENV)/dev.stamp $(AIRFLOW)/stamp $(PEERS)/stamp servers
	@$(BIN)/python tools/parts.py $(PARTS)

test-all: $(VENV)/dev.stamp $(AIRFLOW)/stamp $(PEERS)/stamp servers
	@ASYNCAUTH_TEST_ALL=1 $(BIN)/python tools/parts.py $(PARTS)

lint types: $(VENV)/dev.stamp
	@$(BIN)/python tools/parts.py $@

docs: $(VENV)/docs.stamp
	@$(BIN)/python -m mkdocs build --strict --quiet && echo "build/site/index.html"

bench: $(VENV)/dev.stamp $(PEERS)/stamp
	@$(BIN)/python -m bench

bench-instructions: $(VENV)/dev.stamp
	@$(BIN)/python -m bench.instructions --check

bench-airflow: $(VENV)/dev.stamp $(AIRFLOW)/stamp servers
	@$(BIN)/python -m bench.airflow

dist: $(VENV)/dist.stamp
	@$(BIN)/python -m tools.release

lowest: $(VENV)/dist.stamp servers
	@$(BIN)/python -m tools.release lowest

coverage: $(VENV)/dev.stamp servers
	@$(BIN)/python -m coverage run -m pytest -q $(COVERED)
	@$(BIN)/python -m coverage report

mutants: $(VENV)/mutants.stamp
	@$(BIN)/python -m tools.mutants $(MUTANTS)

fuzz: $(VENV)/fuzz.stamp
	@$(BIN)/python -m fuzz

servers:
	@tools/servers.sh

clean:
	rm -rf $(VENV) mutants .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made anew only when what it is made from changed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "asyncauth needs Python 3.11 or newer; say where it is: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	|| { echo "Python cannot make environments here: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PIP) install -c constraints.txt --upgrade pip

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what the demo needs into $(VENV) …"
	@$(PIP) install -c constraints.txt --build-constraint constraints.txt -e '.[sqlite,fastapi,cli]' --group examples
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing everything into $(VENV) …"
	@$(PIP) install -c constraints.txt --build-constraint constraints.txt -e '.[all]' --group dev
	@touch $@ $(VENV)/demo.stamp $(VENV)/docs.stamp

$(VENV)/docs.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) install -c constraints.txt --build-constraint constraints.txt --group docs
	@touch $@

$(VENV)/dist.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what builds and checks into $(VENV) …"
	@$(PIP) install -c constraints.txt --group dist
	@touch $@

$(VENV)/fuzz.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) install -c constraints.txt --build-constraint constraints.txt -e . --group fuzz \
	|| { echo "make fuzz needs atheris, which has wheels for CPython on Linux x86_64; elsewhere it is built with clang" >&2; exit 1; }
	@touch $@

$(VENV)/mutants.stamp: $(VENV)/dev.stamp
	@$(PIP) install -c constraints.txt --group mutants
	@touch $@

$(AIRFLOW)/stamp: tools/airflow-requirements.txt tools/airflow-constraints.txt constraints.txt
	@echo "installing the real Airflow into $(AIRFLOW), for the tests of databases that it made: some minutes …"
	@rm -rf $(AIRFLOW)
	@$(PYTHON) -m venv $(AIRFLOW)
	@$(AIRFLOW)/bin/python -m pip -q install -c constraints.txt --upgrade pip
	@$(AIRFLOW)/bin/python -m pip -q install -r tools/airflow-requirements.txt -c tools/airflow-constraints.txt
	@touch $@

$(PEERS)/stamp: pyproject.toml tools/peers-constraints.txt constraints.txt
	@echo "installing fastapi-users, which the bench compares with, into $(PEERS) …"
	@rm -rf $(PEERS)
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip -q install -c constraints.txt --upgrade pip
	@$(PEERS)/bin/python -m pip -q install -c tools/peers-constraints.txt --group peers-apart
	@touch $@
