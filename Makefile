# make demo    train AlexNet on the built-in pictures
# make test    lint, type-check, run every test
# make clean   remove the virtual environment and what tests and demos left
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/installed-train
	$(BIN)/python -m models train --recipe demo

test: .venv/installed-test
	$(BIN)/flake8
	$(BIN)/mypy
	$(BIN)/pytest

# Editable: the commands above run this checkout. A stamp per set of extras; a changed setup.cfg installs again.
.venv/installed-%: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv runs build *.egg-info .pytest_cache .mypy_cache .hypothesis
