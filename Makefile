# Two commands are all most people need: make report, make test.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# uv sets up in a fraction of the time; pip comes with Python.
INSTALL := $(if $(shell command -v uv),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)

# The matrices are small: threads that wait for each other cost six times what they save.
export OMP_NUM_THREADS ?= 1

.PHONY: help report test test-long lab check lint types shape simulate fuzz torture bench screenshots docs clean
help:
	@echo "make report    rerun the study and write reports/latest/index.html (ARGS=\"--config my/retention.toml\")"
	@echo "make test      run the tests, but for the long ones (under ten minutes)"
	@echo "make test-long the others: simulations, killed runs, other engines, odd agencies"
	@echo "make lab       open the notebooks in JupyterLab"
	@echo "make check     format, lint, types, density, notebook shape, layers, words, citations (in parts: lint, types, shape)"
	@echo "make simulate  coverage and error rates on simulated agencies (long); writes docs/calibration.md"
	@echo "make fuzz      every notebook on agencies that are odd in some way (long; ARGS=\"--part 1/4 --seed 1\")"
	@echo "make torture   kill runs, fill disks, change clocks; the published report must stay whole (long)"
	@echo "make bench     what the quick bootstrap, the scores and the reports cost; writes benchmarks/"
	@echo "make screenshots  pictures of the sample's report for the README (needs chromium); writes docs/screens/"
	@echo "make docs      the site of the documents, with the notebooks run on the sample; writes build/docs/"
	@echo "make clean     remove reports, the site and caches (keeps .venv)"

report: .venv/ready
	$(BIN)/retention report $(ARGS)

test: .venv/dev-ready
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

test-long: .venv/dev-ready
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m long $(ARGS)

lab: .venv/dev-ready
	$(BIN)/jupyter lab --notebook-dir=notebooks --LabApp.news_url=None \
	  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate $(ARGS)

check: lint types shape

lint: .venv/dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev-ready
	$(BIN)/mypy

shape: .venv/dev-ready
	$(BIN)/python tests/density.py
	$(BIN)/python -m pytest tests/test_layers.py tests/test_notebooks.py tests/test_environment.py \
	  tests/test_texts.py tests/test_citations.py tests/test_density.py

simulate: .venv/dev-ready
	$(BIN)/python tests/simulate.py $(ARGS)
	$(BIN)/python tests/simulate_economics.py $(ARGS)
	$(BIN)/python tests/simulate_held.py $(ARGS)
	$(BIN)/python tests/simulate_spread.py $(ARGS)
	$(BIN)/python tests/simulate_liking.py $(ARGS)
	$(BIN)/python tests/simulate_scores.py $(ARGS)
	$(BIN)/python tests/simulate_trials.py $(ARGS)
	$(BIN)/python tests/simulate_pool.py $(ARGS)

fuzz: .venv/dev-ready
	$(BIN)/python tests/fuzz.py $(ARGS)

bench: .venv/dev-ready
	$(BIN)/python benchmarks/bootstrap.py
	$(BIN)/python benchmarks/score.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/size.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/readme.py

screenshots: .venv/dev-ready
	$(BIN)/retention report
	$(BIN)/python docs/screenshots.py

docs: .venv/dev-ready
	$(BIN)/python docs/make_site.py $(ARGS)

torture: .venv/dev-ready
	RETENTION_KILLS=100 $(BIN)/python -m pytest -n 0 tests/test_killed.py $(ARGS)

clean:
	rm -rf reports/* build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# What reruns reports; then, on top of it, what tests and explores. Both from the locks, hashes checked.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.x")'
	@echo "Setting up .venv: $$(grep -c '==' requirements.lock) pinned packages, once."
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src
	@touch $@

.venv/dev-ready: .venv/ready requirements-dev.lock
	@echo "Adding to .venv what tests and JupyterLab need, once."
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@
