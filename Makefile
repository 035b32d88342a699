# gridpilot: what can be done here. `make help` lists it.
SHELL       := /bin/sh
PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
READY       := $(VENV)/.ready
# AGAIN=1 tries only what has failed before, one by one
PYTEST      := $(BIN)/python -m pytest -q $(if $(AGAIN),--last-failed)
PARALLEL    := $(if $(AGAIN),,-n 5 --dist loadfile --no-loadscope-reorder)
BESIDE      := $(MAKE) --no-print-directory $(if $(AGAIN),-j1,-j2 --output-sync=line)
FAULTS      := $(PYTEST) tests/faults $(if $(AGAIN),,-n 4 --maxschedchunk 1)
CONTAINMENT := tests/unit/test_containment.py tests/unit/test_ce_limits.py
CODE        := pilot agents ce_backends jobexec tests docs bench tools

# What has been compiled once is not compiled again, by each worker and by each agent and pilot that tests start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-cluster test check tests changed lint format types unit contract end-to-end fuzz mutants model faults-quick faults machine \
        interop interop-diracx systems systems-canary bundle pilot-files nodes bench bench-dirac bench-job-api bench-queue docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the project's own Python environment in .venv

$(READY): pyproject.toml constraints.txt tools/set_up.sh
	@PYTHON="$(PYTHON)" sh tools/set_up.sh $(VENV)
	@touch $@

demo: $(READY) ## run the demo jobs on this machine and check their results
	@$(BIN)/python -m agents.local_wms.demo

demo-cluster: $(READY) ## a local WMS, the SiteDirector and a real Slurm on this machine: a hundred jobs (as root)
	@$(BIN)/python -m agents.local_wms.demo_cluster

test: $(READY) ## everything that needs no root and no batch system, style and types beside it
	@$(BESIDE) tests lint types faults-quick

check: $(READY) ## before each commit: style, types, and the fast tests that import what has changed
	@$(BESIDE) changed lint types

changed: $(READY) ## the fast tests that import what has changed since the last commit
	@tests=$$($(BIN)/python -m tools.changed_tests) && \
	    if [ "$$tests" ]; then $(PYTEST) $(PARALLEL) $$tests; else echo "no fast test imports what has changed"; fi

tests: $(READY) ## unit, contract and end-to-end at once
	$(PYTEST) $(PARALLEL) tests/unit tests/contract tests/end_to_end

lint: $(READY) ## style and layout of the code
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(READY) ## lay the code out
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(READY) ## mypy, strict
	$(BIN)/mypy

unit: $(READY) ## fast tests
	$(PYTEST) $(PARALLEL) tests/unit

contract: $(READY) ## the wire format, against the embedded WMS
	$(PYTEST) tests/contract

end-to-end: $(READY) ## from the pilot to Done, over HTTPS
	$(PYTEST) tests/end_to_end

fuzz: $(READY) ## every parser of foreign text under libFuzzer; SECONDS=600 in all, ONLY="jdl batch-", found inputs in .fuzz
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) $(if $(ONLY),--only "$(ONLY)")

mutants: $(READY) ## small changes of dialects, ledger, grants, calls, reports: tests must see 95 %; ONLY=slurm, SEED=word
	$(BIN)/python -m tests.mutants $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed "$(SEED)")

model: $(READY) ## the model of a job's life, with more faults than the fast tests try (minutes)
	$(BIN)/python -m tests.model --large

faults-quick: $(READY) ## the quick part of the fault matrix
	$(FAULTS) -m quick

faults: $(READY) ## the whole fault matrix (some of it only as root); writes docs/faults.md
	@tests/faults/set_up.sh
	$(FAULTS) $(if $(AGAIN),,--faults-page docs/faults.md)

machine: $(READY) ## containment with all controllers of cgroup v2, in a virtual machine (slow)
	tests/clusters/machine/run.sh python3 -m pytest -v -p no:cacheprovider $(CONTAINMENT) -k "'V2 or widen or says_why'"
	tests/clusters/machine/run.sh python3 -m ce_backends test Pool -o NumberOfProcessors=1

interop: $(READY) ## real jobs of a real DIRAC 9 server
	$(PYTEST) tests/system

interop-diracx: $(READY) ## real jobs of a real DIRAC 9 joined with a real DiracX (ten to twenty minutes)
	$(PYTEST) tests/joined

systems: $(READY) ## CE types on real batch systems, and the pilot in their jobs (as root); ONLY="arc oar", NEED=all
	$(PYTEST) $(if $(ONLY),$(wildcard $(ONLY:%=tests/systems/test_%*.py)),tests/systems) -m "$(or $(WHICH),not slow)" $(if $(NEED),--need $(NEED))

systems-canary: $(READY) ## the newest of all batch systems, and those that are slow to try; ONLY and NEED as above
	GRIDPILOT_NEWEST=1 $(MAKE) systems WHICH="newest or slow"

bundle: $(READY) ## dist/gridpilot.pyz, gridpilot with its own Python in one file, and the folder it unpacks to
	$(BIN)/python -m tools.bundle

pilot-files: bundle ## dist/pilot, for DIRAC's pilot wrapper; PILOT_JSON=pilot.json [WITH="LabCommands.py …"]
	$(if $(PILOT_JSON),,$(error which pilot.json? expected make pilot-files PILOT_JSON=FILE; docs/drop-in.md tells where it is))
	$(BIN)/python -m tools.pilot_files --pilot-json "$(PILOT_JSON)" $(if $(WITH),--with $(WITH))

nodes: $(READY) ## the bundle on bare Debian nodes with Python 3.9, 3.11, 3.13 (as root)
	$(PYTEST) tests/nodes

bench: $(READY) ## beside HyperQueue, PSI/J and DIRAC; writes docs/performance.md
	bench/set_up.sh
	$(BIN)/python -m bench

bench-dirac: $(READY) ## beside DIRAC's own agent on a real server; writes docs/dirac-comparison.md
	$(BIN)/python -m bench.dirac_agent

bench-job-api: $(READY) ## Job-API jobs with data beside DIRAC's own agent; writes docs/job-api-ends.md
	$(BIN)/python -m bench.job_api

bench-queue: $(READY) ## a thousand tasks on a real Slurm (as root); writes docs/performance-ce.md
	$(BIN)/python -m bench.queue_scale

docs: $(READY) ## write docs/configuration.md from the settings tables, docs/systems.md from the manifest of systems
	$(BIN)/python -m docs.configuration_page
	$(BIN)/python -m docs.systems_page

clean: ## forget the environment and what the demo left
	rm -rf $(VENV) .demo .fuzz .logs .mypy_cache .ruff_cache .pytest_cache .hypothesis
