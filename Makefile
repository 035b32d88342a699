# gridpilot: what can be done here. `make help` lists it.
SHELL       := /bin/sh
PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
USABLE      := $(VENV)/.usable
READY       := $(VENV)/.ready
# AGAIN=1 tries only what has failed before, one by one; what has failed is kept by target, for several run at a time
PYTEST       = $(BIN)/python -m pytest -q -o cache_dir=.pytest_cache/$@ $(if $(AGAIN),--last-failed)
PARALLEL    := $(if $(AGAIN),,-n 6 --dist loadfile --no-loadscope-reorder)
BESIDE      := $(MAKE) --no-print-directory $(if $(AGAIN),-j1,-j2 --output-sync=line)
FAULTS       = $(PYTEST) tests/faults $(if $(AGAIN),,-n $(1) --maxschedchunk 1)
CONTAINMENT := $(addprefix tests/unit/,test_containment.py test_containment_groups.py test_ce_limits.py)
OF_DIRAC     = GRIDPILOT_DIRAC=$(1) $(PYTEST) tests/system/test_dirac_interop.py $(if $(SHORT),,tests/system/test_dirac_words.py)
CODE        := gridpilot pilot agents ce_backends jobexec tests docs bench tools

# What has been compiled once is not compiled again, by each worker and by each agent and pilot that tests start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-cluster cloud test check tests changed lint format types unit contract end-to-end fuzz mutants model faults-quick faults faults-data machine \
        interop interop-8 interop-9.0 interop-diracx loop-diracx systems systems-canary bundle wheel deb rpm image image-test release pilot-files pages web-pages recordings nodes bench bench-dirac bench-flat bench-job-api bench-diracx bench-scale \
        bench-site-director bench-site-director-scale bench-pilot-supply faults-site-director bench-queue bench-register bench-transfers docs docs-site clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the project's own Python environment in .venv, with what developers need

$(USABLE): pyproject.toml constraints.txt tools/set_up.sh tools/set_up.py
	@PYTHON="$(PYTHON)" sh tools/set_up.sh $(VENV)
	@touch $@

$(READY): $(USABLE)
	@PYTHON="$(PYTHON)" sh tools/set_up.sh $(VENV) developer
	@touch $@

demo: $(USABLE) ## run the demo jobs on this machine and check their results
	@$(BIN)/python -m gridpilot demo --home .demo

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
	$(call FAULTS,2) -m quick

faults: $(READY) ## the whole fault matrix (some of it only as root); writes docs/faults.md
	@tests/faults/set_up.sh
	$(call FAULTS,4) $(if $(AGAIN),,--faults-page docs/faults.md)

faults-data: $(READY) ## SIGKILL at each step of an output file on a real DIRAC with real storage; 30 deaths each of ROUNDS=20
	GRIDPILOT_ROUNDS=$(or $(ROUNDS),20) $(PYTEST) tests/system/test_data_kills.py

machine: $(READY) ## containment with all controllers of cgroup v2, in a virtual machine (slow)
	tests/clusters/machine/run.sh python3 -m pytest -v -p no:cacheprovider $(CONTAINMENT) -k "'V2 or widen or says_why'"
	tests/clusters/machine/run.sh python3 -m ce_backends test Pool -o NumberOfProcessors=1

cloud: $(READY) ## CE type Cloud on real machines of qemu, ten at a time; slow where processors are emulated
	$(PYTEST) tests/systems/test_cloud.py -m "slow or not slow" -s --need cloud

interop: $(READY) ## real jobs of a real DIRAC 9 server
	$(PYTEST) tests/system

interop-8: $(READY) ## real jobs of a real DIRAC 8.0: every service over dips, setups; SHORT=1 without the words of its own agent
	$(call OF_DIRAC,8.0)

interop-9.0: $(READY) ## the same jobs of a real DIRAC 9.0
	$(call OF_DIRAC,9.0)

interop-diracx: $(READY) ## real jobs of a real DIRAC 9 joined with a real DiracX; WHICH="not long" for the short form of CI
	$(PYTEST) tests/joined$(if $(WHICH), -m "$(WHICH)")
	GRIDPILOT_DIRAC=9.1-diracx $(PYTEST) tests/system/test_dirac_interop.py $(if $(WHICH),,tests/system/test_dirac_words.py)

loop-diracx: $(READY) ## the same stack for MINUTES=120: jobs in a loop, each round with a fault; nothing lost, nothing twice
	$(BIN)/python -m tests.joined.loop --minutes $(or $(MINUTES),120)

systems: $(READY) ## CE types on real batch systems, and the pilot in their jobs (as root); ONLY="arc oar", NEED=all
	$(PYTEST) $(if $(ONLY),$(wildcard $(ONLY:%=tests/systems/test_%*.py)),tests/systems) -m "$(or $(WHICH),not slow)" $(if $(NEED),--need $(NEED))

systems-canary: $(READY) ## the newest of all batch systems, and those that are slow to try; ONLY and NEED as above
	GRIDPILOT_NEWEST=1 $(MAKE) systems WHICH="newest or slow"

bundle: $(READY) ## dist/gridpilot.pyz, gridpilot with its own Python in one file, and the folder it unpacks to
	$(BIN)/python -m tools.bundle

wheel: ## dist/wheels: M2Crypto for this Python without a compiler; set-up takes it from there (compiles it, once)
	@$(PYTHON) -m tools.release.wheel

deb: bundle ## dist/gridpilot_VERSION_ARCH.deb: the bundle with gridpilot-pilot@.service, for hosts without a batch system
	@$(BIN)/python -m tools.release.deb

rpm: bundle ## dist/gridpilot-VERSION-1.ARCH.rpm: the same as an RPM, for hosts that have those; needs rpmbuild
	@$(BIN)/python -m tools.release.rpm

image: bundle ## a container image of the bundle, built by podman (or CONTAINERS=docker); BASE=image, TAG=localhost/gridpilot
	$(or $(CONTAINERS),podman) build $(if $(BASE),--build-arg BASE="$(BASE)") -t "$(or $(TAG),localhost/gridpilot)" -f packaging/Containerfile dist

image-test: $(READY) ## the image, built by a real podman on a Debian tree, and a pilot of it that drains (as root)
	$(PYTEST) tests/image

release: ## dist/release: sdist, wheels, the one file, deb and rpm, SBOM, checksums; TWICE=1 builds it twice and compares byte for byte
	@$(PYTHON) -m tools.release $(if $(TWICE),--twice)

pilot-files: bundle ## dist/pilot, for DIRAC's pilot wrapper; PILOT_JSON=pilot.json [WITH="LabCommands.py …"]
	$(if $(PILOT_JSON),,$(error which pilot.json? expected make pilot-files PILOT_JSON=FILE; docs/drop-in.md tells where it is))
	$(BIN)/python -m tools.pilot_files --pilot-json "$(PILOT_JSON)" $(if $(WITH),--with $(WITH))

pages: $(READY) ## the commands of README and of the pages, as pasted
	$(PYTEST) tests/pages $(if $(AGAIN),,-n 3)

recordings: $(READY) ## docs/recordings.md: the first ten minutes of five kinds of users, typed as the pages have it
	$(BIN)/python -m tests.pages.record

web-pages: $(READY) ## the pages that browsers show, in a real Chromium: narrow, wide, dark, on paper; installs it (as root)
	tests/web/set_up.sh
	$(PYTEST) tests/web $(if $(AGAIN),,-n 2 --dist loadfile)

nodes: $(READY) ## the bundle on bare Debian nodes with Python 3.9, 3.11, 3.13 (as root)
	$(PYTEST) tests/nodes

bench: $(READY) ## beside HyperQueue, PSI/J and DIRAC; writes docs/performance.md
	bench/set_up.sh
	$(BIN)/python -m bench

bench-flat: $(READY) ## one agent through ten thousand jobs, 256 at a time: memory, files, threads, CPU; half an hour; writes docs/flat.md
	$(BIN)/python -m bench.flat --page docs/flat.md

bench-dirac: $(READY) ## beside DIRAC's own agent on a real server; writes docs/dirac-comparison.md
	$(BIN)/python -m bench.dirac_agent

bench-job-api: $(READY) ## Job-API jobs with data beside DIRAC's own agent; writes docs/job-api-ends.md
	$(BIN)/python -m bench.job_api

bench-register: $(READY) ## a hundred thousand files published by gridpilot data register on a real DIRAC; writes into docs/data.md
	$(BIN)/python -m bench.register

bench-transfers: $(READY) ## 1 GB up and down next to curl and xrdcp, in turns, on real storage (as root); writes docs/transfers.md
	$(BIN)/python -m bench.transfers

bench-diracx: $(READY) ## beside DIRAC's own agent on a real DIRAC joined with DiracX; writes docs/diracx-comparison.md
	$(BIN)/python -m bench.joined_agents

bench-scale: $(READY) ## what half a million agents ask of the servers, next to DIRAC's; a wave of pilots on real ones; writes docs/scale.md
	$(BIN)/python -m bench.scale --dirac

bench-site-director: $(READY) ## our SiteDirector beside DIRAC's own on a real DIRAC and Slurm, and before HTCondor and ARC (as root); writes docs/site-director-bench.md
	$(BIN)/python -m bench.site_director

bench-site-director-scale: $(READY) ## 10 000 pilots over 50 CEs in simulated time; writes docs/site-director-scale.md
	$(BIN)/python -m bench.director_scale --page docs/site-director-scale.md

bench-pilot-supply: $(READY) ## the SiteDirector's law next to four peers' in simulation; writes the table and plot of docs/pilot-supply.md
	$(BIN)/python -m bench.pilot_supply --page docs/pilot-supply.md

faults-site-director: $(READY) ## SIGKILL of the SiteDirector before a real Slurm (with DIRAC), HTCondor, ARC; ROUNDS=20 at each step (as root)
	GRIDPILOT_ROUNDS=$(or $(ROUNDS),20) $(PYTEST) tests/system/test_site_director_kills.py
	GRIDPILOT_ROUNDS=$(or $(ROUNDS),20) $(PYTEST) tests/systems/test_site_director_kills.py -m slow --need all

bench-queue: $(READY) ## a thousand tasks on a real Slurm (as root); writes docs/performance-ce.md
	$(BIN)/python -m bench.queue_scale

docs: $(READY) ## write what the tables say: docs/{configuration,systems,commands}.md, man page, completions
	$(BIN)/python -m docs.commands_page
	$(BIN)/python -m docs.configuration_page
	$(BIN)/python -m docs.systems_page

docs-site: ## the documents as a site with a search, in dist/site; it is read without a network
	@[ -e .venv-docs/.ready ] || { $(PYTHON) -m venv .venv-docs && \
	    .venv-docs/bin/python -m pip --disable-pip-version-check --quiet install -r docs/site/requirements.txt && touch .venv-docs/.ready; }
	.venv-docs/bin/sphinx-build -q -W --keep-going -c docs/site . dist/site
	@echo "dist/site/index.html"

clean: ## forget the environment and what the demo left
	rm -rf $(VENV) .demo .fuzz .logs .mypy_cache .ruff_cache .pytest_cache .hypothesis
