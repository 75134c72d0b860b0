# Each target does all its own set-up. Start with `make demo`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo run test lint fmt bench lab chaos fuzz golden proto lock sbom audit clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@echo "setting up $(VENV) (the first time takes a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Hopline needs Python 3.11 or newer; set PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: install
	@$(BIN)/hopline demo

run: install
	$(BIN)/hopline serve

# Three processes on two cores: much of a test's time is waiting for a service.
JOBS ?= 3

test: install
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.pages.tools
	$(BIN)/python -m tests.packaging.supply

fmt: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m tests.bench

lab: install
	$(BIN)/python -m tests.lab

chaos: install
	$(BIN)/python -m tests.chaos
	$(BIN)/python -m tests.chaos.abuse

fuzz: install
	$(BIN)/python -m tests.fuzz

golden: install
	$(BIN)/python -m tests.record_fields
	GOLDEN_WRITE=1 $(BIN)/python -m pytest -q tests -k golden

proto: install
	$(BIN)/python -m grpc_tools.protoc -Icollector/wire --python_out=collector/wire --pyi_out=collector/wire $(addprefix collector/wire/,$(addsuffix .proto,gateway_record zipkin jaeger envoy_als prometheus))

COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header

# What the image holds, with versions and hashes, as CycloneDX; the tool stays out of .venv.
sbom:
	@$(PYTHON) -m venv build/sbom && build/sbom/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom
	@mkdir -p dist
	build/sbom/bin/cyclonedx-py requirements deploy/docker/requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o dist/hopline.cdx.json

# Known vulnerabilities of what the image holds. Fails as well where the index has no advisories to ask.
audit:
	@$(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	build/audit/bin/pip-audit --require-hashes --disable-pip --strict -r deploy/docker/requirements.lock

lock:
	$(BIN)/python -m pip install --quiet pip-tools
	$(COMPILE) --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --output-file deploy/docker/requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .hopline-demo .bench .lab .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
