# make demo       train AlexNet on the built-in pictures
# make test       lint, type-check, run every test
# make quick      all tests but the slow ones: two minutes on two cores
# make gradcheck  every gradient beside its finite differences
# make bench      kernels and network beside PyTorch's, where PyTorch is installed
# make docs       write docs/api.md anew, from the docstrings
# make clean      remove the virtual environment and what tests and demos left
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test quick gradcheck bench docs clean

demo: .venv/installed-train
	$(BIN)/python -m models train --recipe demo

test: .venv/installed-test
	$(BIN)/flake8
	$(BIN)/mypy
	$(BIN)/pytest -n auto

quick: .venv/installed-test
	$(BIN)/pytest -n auto -m "not slow"

gradcheck: .venv/installed-test
	$(BIN)/python -m minitensor.gradcheck

bench: .venv/installed-bench
	$(BIN)/python -m benchmarks cpu

docs: .venv/installed-test
	$(BIN)/python docs/make_api.py

# Editable: the commands above run this checkout. A stamp per set of extras; a changed setup.cfg
# installs again.
.venv/installed-%: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv runs build *.egg-info .pytest_cache .mypy_cache .hypothesis
