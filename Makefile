# Two commands on a fresh machine: `make demo` and `make test`. Both do all set-up.
PYTHON ?= python3
PY := .venv/bin/python
CAPTURE ?=

.PHONY: setup demo test check bench experiments docs clean

# torch is installed on its own, first: its pin picks the CPU build where the index offers one.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(PY) -m piavas.cli install hrtf
	touch $@

setup: .venv/ready

demo: .venv/ready
	$(PY) -m piavas.cli demo $(if $(CAPTURE),--capture $(CAPTURE))

# Two workers: one thread each, since threads that wait for each other spin.
test: export OMP_NUM_THREADS ?= 1
test: .venv/ready
	$(PY) -m pytest -n 2

check: .venv/ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

docs: .venv/ready
	$(PY) -m sphinx -W --keep-going -b html docs build/docs

bench: .venv/ready
	$(PY) benchmarks/simulate.py --quick
	$(PY) benchmarks/demo.py

# Every table of docs/experiments.md in small; what an interrupted run left is kept.
experiments: export OMP_NUM_THREADS ?= 1
experiments: .venv/ready
	$(PY) -m piavas.cli experiments build/experiments
	$(PY) docs/make_experiments.py build/experiments

clean:
	rm -rf .venv build dist demo
