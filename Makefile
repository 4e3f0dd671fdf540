# Two commands: `make demo` runs the quickstart on a real model; `make test` runs everything.
# A fresh machine needs Python >= 3.11 and make. PYTHON chooses the interpreter, VENV the virtual environment.
PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= build/demo
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

ROUNDS ?= 5
PROVE  ?= 1000
SEED   ?= $(shell date +%s)
HYPOTHESIS_PROFILE ?= thorough

NOTEBOOK := notebooks/00_quickstart.ipynb
ALL_NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
SOURCES  := $(shell find orch_nb notebooks/data -type f -not -name '*.pyc' 2>/dev/null) $(NOTEBOOK)

.DEFAULT_GOAL := help
.PHONY: help demo lab notebooks test prove coverage snapshots tidy check format bench bench-routing install install-dev model chromium labextension labextension-test labextension-deps clean

help:
	@echo "make demo    run the quickstart on a small language model on this machine (no key; about 190 MB once)"
	@echo "make lab     open it in JupyterLab"
	@echo "make test    every test, the quickstart and the browser included"
	@echo "make prove   the random experiments, many times over; SEED=N repeats one"
	@echo "make check   lint, format, types"
	@echo "make coverage, make snapshots, make tidy   see the Makefile"
	@echo "make bench   benchmarks"

# ------------------------------------------------------------------------------------------------------ environment
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "orch_nb needs Python >= 3.11; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing orch_nb with its local model's runtime (once; about 1 minute)"
	@$(PIP) install --editable '.[local,pandas]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "installing orch_nb with what its tests need (once; about 1 minute)"
	@$(PIP) install --editable '.[local,pandas,dev]'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

model: $(VENV)/.installed
	@$(BIN)/orch models install smollm2

# ------------------------------------------------------------------------------------------------------------- demo
# The first time it runs; afterwards, as long as nothing that it is made of has changed, it shows what came of it.
demo:
	@if $(MAKE) --no-print-directory -q $(DEMO)/.done 2>/dev/null; then $(BIN)/orch demo --out $(DEMO) --show; \
	else $(MAKE) --no-print-directory $(DEMO)/.done; fi

$(DEMO)/.done: $(VENV)/.installed $(SOURCES)
	@$(BIN)/orch models install smollm2
	@$(BIN)/orch demo --out $(DEMO)
	@touch $@

lab: $(VENV)/.installed model
	@$(BIN)/jupyter lab $(NOTEBOOK)

# ------------------------------------------------------------------------------------------------------------ tests
# Executes the notebooks and keeps their outputs, without what changes from run to run.
notebooks: $(VENV)/.installed-dev model
	@$(BIN)/jupyter nbconvert --log-level WARN --to notebook --execute --inplace --ExecutePreprocessor.store_widget_state=False \
	  --ExecutePreprocessor.record_timing=False $(ALL_NOTEBOOKS)

test: $(VENV)/.installed-dev model chromium
	@$(BIN)/python -m pytest tests $(ALL_NOTEBOOKS) --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval.cfg $(PYTEST_ARGS)

# Branch coverage of the fast part of the tests; it fails below `fail_under` of pyproject.toml, which only ever goes up. Examples
# that hypothesis makes are few and always the same here, so that the figure is of the code and not of chance.
# Two halves at once: tracing branches makes tests take nearly twice as long. Here the figure counts; `make test` judges the tests,
# some of which have deadlines that a traced run may pass. What passed is listed, so that CI need not run it twice.
COVERED_1 := tests/contract $(addprefix tests/unit/,store runtime engine lang agents)
COVERED_2 := $(filter-out $(COVERED_1),$(wildcard tests/unit/*))

coverage: $(VENV)/.installed-dev
	@rm -rf .coverage .coverage.* build/passed
	@$(MAKE) --no-print-directory --jobs 2 coverage-1 coverage-2
	@$(BIN)/python -m coverage combine --quiet
	@printf 'branch coverage, per cent: '; $(BIN)/python -m coverage report --format=total

coverage-%:
	@HYPOTHESIS_PROFILE=coverage $(BIN)/python -m coverage run --parallel-mode -m pytest -q -p no:cacheprovider --timeout 300 --passed-to build/passed \
	  -m "not slow and not local_model" $(COVERED_$*) || [ $$? = 1 ]

# Write the snapshots of displays and of the public surface anew (tests/snapshots, tests/typing); review the difference like code.
snapshots: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -q tests/snapshots tests/typing --snapshot-update

# Check committed files: none is large, has a key, or a conflict of a merge.
tidy: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_repository.py

# What is random, many times over: processes killed at random moments, random schedules of the ledger, random loops. It prints its seed;
# the same seed does the same again: make prove SEED=123. A tenth of it: make prove PROVE=100 HYPOTHESIS_PROFILE=default.
prove: $(VENV)/.installed-dev
	@echo "seed $(SEED)"
	@ORCH_KILL_ROUNDS=$(PROVE) ORCH_LOOP_GRAPHS=$$((20 * $(PROVE))) ORCH_SEED=$(SEED) HYPOTHESIS_PROFILE=$(HYPOTHESIS_PROFILE) $(BIN)/python -m pytest -s --timeout 0 \
	  --hypothesis-seed=$(SEED) tests/kill tests/props tests/unit/engine/test_loops.py $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Ratios within one run: ours against a bare asyncio loop and the peers, each in an interpreter of its own, in alternation.
bench: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.bench --rounds $(ROUNDS) $(BENCH_ARGS)

# The intent switch on labelled messages of your own: make bench-routing TRAIN=a.csv.gz TEST=b.csv.gz (columns text, category).
# Without TRAIN: the learned choice of a model on made-up worlds, beside the static choice.
bench-routing: $(VENV)/.installed-dev
	@if [ -n "$(TRAIN)" ]; then $(BIN)/python tests/bench/intents.py $(TRAIN) $(TEST) $(BENCH_ARGS); \
	else OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/bench/routing_worlds.py $(BENCH_ARGS); fi

# ---------------------------------------------------------------------------------------------------- labextension
# Rebuilds what is committed in orch_nb/labextension. Only who changes labextension/ needs node (>= 20).
labextension: labextension-deps
	@cd labextension && PATH="$(abspath $(BIN)):$$PATH" jlpm build
	@echo "built orch_nb/labextension; a fresh copy is installed by: $(BIN)/python -m pip install --editable ."

labextension-test: labextension-deps
	@cd labextension && PATH="$(abspath $(BIN)):$$PATH" jlpm test

labextension-deps: $(VENV)/.installed
	@command -v node >/dev/null || { echo "node is needed to build the labextension (not to install it)"; exit 1; }
	@cd labextension && PATH="$(abspath $(BIN)):$$PATH" YARN_NPM_REGISTRY_SERVER="$$(npm config get registry 2>/dev/null)" jlpm install --immutable

chromium:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing chromium for the browser tests (once)"; \
	  apt-get -qq -o DPkg::Lock::Timeout=600 update >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null || \
	  echo "chromium could not be installed: the browser tests will be skipped"; \
	else echo "no chromium here and no right to install it: the browser tests will be skipped"; fi

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
