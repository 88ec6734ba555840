# Every target sets itself up in .venv; a machine needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# pip compiles every module of every package, most of which are never imported. Modules are
# compiled instead when first imported, which needs this to be unset.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile

# One process a core, each with whole files, in the order that tests/conftest.py gives.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: help demo test check prove backends format clean
help:
	@echo "make demo    train an image classifier on real pictures, in about a minute"
	@echo "make test    the tests"
	@echo "make check   format, lint, types, docs, wheel"
	@echo "make prove   the long proofs: 300 kill points, all tests marked slow, and backends"
	@echo "make backends  the parity suite on TensorFlow and PyTorch, in environments of their own"
	@echo "make format  put the code into its format"

demo: $(VENV)/core.stamp
	$(VENV)/bin/septet train image-classification fashion-sample --minutes 0.9
	@$(RUN) scripts/after_demo.py

test: $(VENV)/dev.stamp
	$(RUN) -m pytest -m "not slow and not gpu" $(PARALLEL) --durations=15

check: $(VENV)/dev.stamp
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m pyright --pythonpath $(RUN)
	$(RUN) scripts/check_docs.py
	$(RUN) scripts/check_wheel.py

prove: $(VENV)/dev.stamp
	$(RUN) -m pytest -m "slow and not gpu"
	$(RUN) benchmarks/kill_sweep.py --points 300
	$(MAKE) backends

# Each framework has an environment of its own, and either's tests may ask the other's.
BACKENDS := $(VENV)/backends
ON_BACKENDS := tests/backends tests/fitting/test_tutorials.py
backends: $(BACKENDS)/tensorflow.stamp $(BACKENDS)/torch.stamp
	for backend in tensorflow torch; do \
		KERAS_BACKEND=$$backend SEPTET_ENVIRONMENTS=$(BACKENDS) TF_CPP_MIN_LOG_LEVEL=3 \
		$(BACKENDS)/$$backend/bin/python -m pytest $(ON_BACKENDS) || exit 1; \
	done

$(BACKENDS)/tensorflow.stamp: FRAMEWORK := tensorflow-cpu
# This version's build is for the CPU alone; a plain "torch" brings gigabytes for GPUs.
$(BACKENDS)/torch.stamp: FRAMEWORK := torch==2.13.0
$(BACKENDS)/%.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing $(FRAMEWORK) and Septet into $(BACKENDS)/$*; that takes a few minutes."
	$(PYTHON) -m venv $(BACKENDS)/$*
	$(BACKENDS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--editable . "pytest>=8.3" $(FRAMEWORK)
	@touch $@

format: $(VENV)/dev.stamp
	$(RUN) -m ruff check --fix --select I .
	$(RUN) -m ruff format .

clean:
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	@$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f'Septet needs Python 3.11 or newer; this is {v.major}.{v.minor}. Name another: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Septet into $(VENV); the first time takes a few minutes."
	$(INSTALL) --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Septet and its tools into $(VENV); the first time takes a few minutes."
	$(INSTALL) --editable ".[dev]"
	@touch $@ $(VENV)/core.stamp
