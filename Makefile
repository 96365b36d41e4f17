# `make` lists what there is.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PACKAGE := snakemake_executor_plugin_pbs_singularity

# A second make that starts in the middle of the first would find half an environment.
.NOTPARALLEL:
.PHONY: help demo test lint bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Train the MNIST convnet in containers, as PBS jobs: no cluster needed
	@$(RUN) -m tools.demo

test: lint ## Run all tests; PBS=path takes the PBS on PATH for those that submit jobs
	@$(RUN) -m tools.images > /dev/null
	@$(RUN) -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-dev ## Check style and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

bench: $(VENV)/.installed-bench ## Compare with hand-written arrays: hours; PBS=path as above, ARGS="--sizes 100" for less
	@$(RUN) -m benchmarks $(ARGS)

clean: ## Remove what make made; downloads stay in the cache folder
	rm -rf $(VENV) build dist demo-results benchmark-results .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(PACKAGE) benchmarks tests tools workflows -name __pycache__ -prune -exec rm -rf {} +

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	"Python 3.11 or later is needed. On Debian 12: apt-get install python3 python3-venv; elsewhere: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
	"The $(PYTHON) of this machine cannot make virtual environments. On Debian, as root: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.installed $(VENV)/.installed-dev $(VENV)/.installed-bench: pyproject.toml | $(RUN)
	@echo "Installing the plugin into $(VENV) (half a minute)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --use-pep517 -e '.$(patsubst $(VENV)/.installed-%,[%],$(filter %-dev %-bench,$@))'
	@touch $@
