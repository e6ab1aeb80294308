# make study: the whole study on real Fashion-MNIST (preset quick). make test: the tests. Both set everything up.
PYTHON ?= python3
BIN := .venv/bin
ORT := export/demo/ort
.DEFAULT_GOAL := help
PRECISION ?= float32
COVERAGE ?= 93
.PHONY: help demo study reproduce bench speedrun camera soak docs test coverage check format wheel lock data clean

help:
	@echo "make study      the whole study (preset quick): environment, data, training, tables, report"
	@echo "make test       the tests"
	@echo "make coverage   all tests, also the slow ones, with coverage; fails below $(COVERAGE) %"
	@echo "make check      formatting, lint, types"
	@echo "make docs       write the generated pages: docs/cli.md, api.md, tour.ipynb, components.cdx.json ..."
	@echo "make demo       the model as a page for the browser, in runs/demo (needs npm)"
	@echo "make wheel      build the wheel and try it in an environment without torch (needs npm)"
	@echo "make reproduce  train the shipped model (preset best, hours) and compare the metrics"
	@echo "make bench      measure docs/benchmarks.md again (25 to 40 minutes on an idle machine)"
	@echo "make speedrun   the shortest training to the FFD-1 of preset paper, five seeds (5 minutes on an idle machine)"
	@echo "make soak       100 kills of a training, 20,000 mutations of each kind of file (20 minutes)"
	@echo "make camera     train a colour denoiser on simulated camera noise, write docs/camera.md (30 minutes)"
	@echo "make lock       resolve pyproject.toml into requirements.lock"

study: data
	$(BIN)/gan-denoise study run --preset quick --out runs/quick

# PRECISION=bfloat16 takes half the time on CPUs with native bfloat16.
reproduce: data
	$(BIN)/gan-denoise study run --preset best --precision $(PRECISION) --out runs/reproduce
	$(BIN)/gan-denoise study check runs/reproduce

bench: data .keras/installed
	$(BIN)/python scripts/benchmarks.py

speedrun: data
	$(BIN)/python scripts/speedrun.py --precision $(PRECISION)

docs: .venv/installed
	$(BIN)/python scripts/cli_docs.py
	$(BIN)/python scripts/api_docs.py
	$(BIN)/python scripts/notebook.py
	$(BIN)/python scripts/components.py
	$(BIN)/python scripts/photograph_licences.py

camera: .venv/installed
	$(BIN)/python scripts/camera.py

# Keras, to compare training speed with, in its own environment.
.keras/installed: Makefile
	$(PYTHON) -m venv --clear .keras
	.keras/bin/python -m pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0
	touch $@

# The client of the tests of `serve` and `package triton`, which needs another ml-dtypes than ours, in its own environment.
.tritonclient/installed: Makefile | .venv/installed
	$(PYTHON) -m venv --clear --without-pip .tritonclient
	$(BIN)/python -m pip --python .tritonclient/bin/python install --quiet --disable-pip-version-check --no-compile \
		'tritonclient[http,grpc]==2.73.0'
	touch $@

# OpenVINO as an execution provider of onnxruntime, under whose import name it installs, in its own environment. What
# else the package needs comes from .venv, after it, where a second onnxruntime is then found and must be noticed.
.openvino/installed: Makefile | .venv/installed
	$(PYTHON) -m venv --clear --without-pip .openvino
	$(BIN)/python -m pip --python .openvino/bin/python install --quiet --disable-pip-version-check --no-compile \
		--no-deps onnxruntime-openvino==1.24.1
	echo "import site; site.addsitedir('$$(ls -d $(CURDIR)/$(BIN)/../lib/python3*/site-packages)')" \
		> $$(ls -d .openvino/lib/python3*/site-packages)/runtime.pth
	touch $@

# Ray, in its own environment, for its size; what else the package needs comes from .venv, after it.
.ray/installed: Makefile | .venv/installed
	$(PYTHON) -m venv --clear --without-pip .ray
	$(BIN)/python -m pip --python .ray/bin/python install --quiet --disable-pip-version-check --no-compile \
		'ray[serve]==2.60.0'
	echo "import site; site.addsitedir('$$(ls -d $(CURDIR)/$(BIN)/../lib/python3*/site-packages)')" \
		> $$(ls -d .ray/lib/python3*/site-packages)/runtime.pth
	touch $@

demo: .venv/installed $(ORT)/installed
	$(BIN)/gan-denoise demo --out runs/demo --force

# onnxruntime-web, verified by its hash. Its package contains no licence; the Python package of the same project does.
$(ORT)/installed: export/demo/package-lock.json .venv/installed
	rm -rf build/npm $(ORT)
	mkdir -p build/npm $(ORT)
	cp export/demo/package.json export/demo/package-lock.json build/npm
	npm ci --prefix build/npm --ignore-scripts --no-audit --no-fund --loglevel error
	cp $(addprefix build/npm/node_modules/onnxruntime-web/dist/,ort.wasm.bundle.min.mjs ort-wasm-simd-threaded.wasm) $(ORT)
	for file in LICENSE ThirdPartyNotices; do \
		cp $(BIN)/../lib/python3*/site-packages/onnxruntime/$$file* $(ORT)/onnxruntime-$$file.txt || exit 1; done
	rm -rf build/npm
	touch $@

soak: data
	$(BIN)/python tests/faults/soak.py

# Two processes; the tests of one group (timing, kills, the browser) run one after the other in one of them.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test: data .tritonclient/installed .openvino/installed .ray/installed
	$(PYTEST)

# An empty -m selects the slow tests too.
coverage: data .tritonclient/installed .openvino/installed .ray/installed
	$(PYTEST) -m "" --cov --cov-report=term --cov-fail-under=$(COVERAGE)

# The tests import their helpers by name; Keras has an environment of its own.
TYPES := MYPYPATH=tests:tests/faults:scripts $(BIN)/mypy --explicit-package-bases

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(addprefix -p gan_denoise.,api cli console data dependencies errors eval export files locks machine markdown models options paths ray_cluster rng spawn streams study)
	$(TYPES) --exclude tests/faults tests
	$(TYPES) tests/faults
	$(TYPES) --exclude keras_step scripts

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

data: .venv/installed
	$(BIN)/gan-denoise data fetch

wheel: .venv/installed $(ORT)/installed
	rm -rf dist build
	$(BIN)/python -m build --wheel --no-isolation
	sh tests/try_wheel.sh $(BIN)/python dist/*.whl

lock: .venv/installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --extra train --extra dev --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command "make lock" --output-file requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python: expected 3.11 or newer; make PYTHON=python3.12"; exit 3; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv build dist $(ORT) *.egg-info
