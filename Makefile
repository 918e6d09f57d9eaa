# Every target sets up what it needs: a fresh machine needs only make and Python 3.11 with venv.
.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON3 ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; done; echo python3)
PYTHON ?= $(VENV)/bin/python
PYTEST := $(PYTHON) -m pytest
LOCK := $(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
SOURCES := catalog meshkit router_service provider_services quota_service llm_mesh deploy tools
PRESENT = $(wildcard $(SOURCES)) tests
# Where Python is told to write no bytecode, every process compiles what it imports: a third of the time of the tests.
export PYTHONDONTWRITEBYTECODE :=
SCRIPTS = $(shell find deploy -name '*.sh' | sort)
PROTOS = $(shell find protos -name '*.proto' | sort)

.PHONY: help setup runtime gen gen-check check check-format check-lint check-types check-imports check-shell check-structure \
	format test test-real nightly product faults bench bench-dialects bench-ledger bench-plan bench-edge conformance chaos nemesis pictures trace demo run real-model lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

setup: ## make .venv and install the hashed requirements for development
	@$(PYTHON3) tools/setup.py dev --venv $(VENV)

runtime:
	@$(PYTHON3) tools/setup.py runtime --venv $(VENV)

# ---------------------------------------------------------------------------- use it

demo: runtime ## a guided tour against simulated vendors; needs no key
	@$(VENV)/bin/llm-mesh demo

run: runtime ## start the mesh with the keys of the environment (llm-mesh up)
	@$(VENV)/bin/llm-mesh up

real-model: runtime ## chat through the mesh with a real inference server and a tiny random model (about 1 GB in var/)
	@$(PYTHON) tools/real_model.py

# ---------------------------------------------------------------------------- gates

check: check-format check-lint check-types check-imports check-shell gen-check check-structure ## format, lint, types, import rules, fresh generated code, structure

check-format: setup
	$(PYTHON) -m ruff format --check $(PRESENT)

check-lint: setup
	$(PYTHON) -m ruff check $(PRESENT)

check-types: setup
	$(PYTHON) -m mypy $(wildcard $(SOURCES))

check-imports: setup
	$(VENV)/bin/lint-imports

check-shell: setup
	$(VENV)/bin/shellcheck $(SCRIPTS)

check-structure: setup ## report the largest file, longest function, worst complexity, vendor mentions
	$(PYTHON) tools/structure.py

test: setup ## unit, contract, mesh, product and deploy tests, promises at a small size; Python packages only, no root
	$(PYTEST) tests -m "not real and not nightly and not bench and not long" -rs -n 3 --dist loadfile --no-loadscope-reorder

conformance: setup ## compare the dialects with an independent reading of recorded traffic: make conformance RECORDINGS=DIR
	@mkdir -p var
	@$(PYTHON) tests/fixtures/naive.py $(RECORDINGS) > var/expected.jsonl
	$(VENV)/bin/llm-mesh conformance $(RECORDINGS) --expected var/expected.jsonl

test-real: setup ## tests against programs from Debian and npm packages; installs them where it may
	$(PYTHON) tools/real_programs.py
	$(PYTEST) tests -m "real and not nightly" -rs --timeout=300

nightly: setup ## the long proofs, and the promises at their full size
	$(PYTHON) tools/real_programs.py
	$(PYTEST) tests -m "nightly or long" -rs --timeout=3600 || test $$? -eq 5

product: setup ## one line per promise of tests/product/product.yaml: passed, failed, not yet; at full size, so it takes half an hour
	$(PYTEST) tests/product tests -m "product and not nightly" --product-report || test $$? -eq 5

bench: setup ## measure; the figures depend on the machine
	$(PYTHON) -m tests.bench

bench-dialects: setup ## measure the CPU each dialect takes for a stream of fifty chunks, beside the openai dialect
	@$(PYTHON) -m tests.bench.dialects

bench-ledger: setup ## measure the CPU of a hold and its settle in every store, beside its limit: make bench-ledger ARGS=--json
	@PYTHONPATH=tests:gen $(PYTHON) -m tests.bench.ledger $(ARGS)

bench-plan: setup ## measure the CPU of planning a request under every strategy, beside its limit: make bench-plan ARGS=--json
	@PYTHONPATH=tests:gen $(PYTHON) -m tests.bench.plan $(ARGS)

bench-edge: setup ## measure the edge's CPU beside gRPC's and the memory of open streams, beside their limits: make bench-edge ARGS=--json
	@PYTHONPATH=tests:gen $(PYTHON) -m tests.bench.edge $(ARGS)

ROUNDS ?= 30
SEED ?= 18
chaos: setup ## kill -9 of router, quota service and providers under load: make chaos ROUNDS=30 SEED=7
	ROUNDS=$(ROUNDS) SEED=$(SEED) $(PYTEST) tests/mesh/test_kills.py -m nightly -s --timeout=3600

faults: setup ## every fault of a vendor, an outage and a herd, at the scale of real life (about five minutes)
	FAULTS_SCALE=1 $(PYTEST) tests/mesh/test_faults.py tests/mesh/test_outages.py tests/product/test_replicas.py -n 0 --durations=5

OPERATIONS ?= 200000
nemesis: setup ## a storm over the ledger, judged by its whole history: make nemesis SEED=7 STORE=valkey OPERATIONS=200000
	@$(PYTHON) tools/real_programs.py libfaketimeMT.so.1
	@PYTHONPATH=.:tests:gen $(PYTHON) -m fixtures.ledger_nemesis --seed $(SEED) --operations $(OPERATIONS) $(if $(STORE),--store $(STORE))

pictures: setup ## take the pictures of docs/console.md: a sandboxed mesh in a real Chromium
	@$(PYTHON) tools/real_programs.py chromium browser-python axe.min.js
	@PYTHONPATH=tests:gen $(PYTHON) -m tests.mesh.show_console

trace: setup ## print the trace of one streamed request with a fallback, through a whole mesh
	@PYTHONPATH=tests $(PYTHON) -m tests.mesh.show_trace

# ---------------------------------------------------------------------------- keep it

format: setup ## format the code and repair what ruff can
	$(PYTHON) -m ruff format $(PRESENT)
	$(PYTHON) -m ruff check --fix $(PRESENT)

define protoc
rm -rf $(1) && mkdir -p $(1)
PATH="$(abspath $(VENV))/bin:$$PATH" $(PYTHON) -m grpc_tools.protoc -Iprotos \
	--python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)
endef

gen: setup ## generate the Python code of protos/, and what deploy/ has once per vendor
	@$(call protoc,var/gen)
	@rm -rf gen/llmmesh && mkdir -p gen && mv var/gen/llmmesh gen/llmmesh
	@$(PYTHON) -m deploy.generate

gen-check: setup
	@$(call protoc,var/gen-check)
	@diff -r -x __pycache__ var/gen-check/llmmesh gen/llmmesh || { echo "gen/ is stale: make gen"; exit 1; }
	@$(PYTHON) -m deploy.generate --check
	@echo "generated code and manifests are fresh"

lock: setup ## resolve requirements/*.txt anew, with hashes
	$(LOCK) --upgrade requirements/uv.in -o requirements/uv.txt
	$(LOCK) --upgrade requirements/build.in -o requirements/build.txt
	$(LOCK) --upgrade pyproject.toml -o requirements/runtime.txt
	$(LOCK) --upgrade pyproject.toml --group dev -o requirements/dev.txt
	$(LOCK) --upgrade requirements/sdks.in -o requirements/sdks.txt
	$(LOCK) --upgrade requirements/clients.in -o requirements/clients.txt
	$(LOCK) --upgrade requirements/llama-index.in -o requirements/llama-index.txt
	$(LOCK) --upgrade requirements/schemathesis.in -o requirements/schemathesis.txt
	$(LOCK) --upgrade requirements/fuzz.in -o requirements/fuzz.txt
	$(LOCK) --upgrade requirements/browser.in -o requirements/browser.txt

clean: ## remove everything that is made here, the virtual environment too
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
