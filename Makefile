# make study: the whole study on real Fashion-MNIST (preset quick). make test: the tests. Both set everything up.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
PRECISION ?= float32
.PHONY: help study reproduce bench test check format wheel lock data clean

help:
	@echo "make study   environment, data, the whole study (preset quick), tables and report"
	@echo "make reproduce   train the shipped model again (preset best, hours) and compare its figures"
	@echo "make bench   time and measure everything in docs/benchmarks.md again (15 minutes, nothing beside it)"
	@echo "make test    environment, data, the tests"
	@echo "make check   formatting, lint, types"
	@echo "make wheel   build the wheel and try it in an environment of its own, without torch"
	@echo "make lock    resolve requirements.lock anew from pyproject.toml"

study: data
	$(BIN)/gan-denoise study run --preset quick --out runs/quick

# PRECISION=bfloat16 takes half the time where the processor has it.
reproduce: data
	$(BIN)/gan-denoise study run --preset best --precision $(PRECISION) --out runs/reproduce
	$(BIN)/gan-denoise study check runs/reproduce

bench: data
	$(BIN)/python docs/benchmarks.py

test: data
	$(BIN)/python -m pytest

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(addprefix -p gan_denoise.,cli cores data errors eval export files limits models progress study)

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

data: .venv/installed
	$(BIN)/gan-denoise data fetch

wheel: .venv/installed
	rm -rf dist build
	$(BIN)/python -m build --wheel --no-isolation
	sh tests/try_wheel.sh $(BIN)/python dist/*.whl

lock: .venv/installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --all-extras --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command "make lock" --output-file requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer wanted: make PYTHON=python3.12"; exit 3; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
