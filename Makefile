# make run    start the app on a fresh machine (Python 3.11 or newer): venv, packages, server
# make classroom   the same for a class: on the network, with a class code, a teacher's code and a QR code of the address
# make test   pass everything: format, lint, types, tests, a real browser among them (WORKERS=3 files of these at a time)
# make bench  print the measured figures of the README again
# make reliability   every promise at full length, in one table (an hour or two); SHARE=0.01 for a quick look
# make everywhere   all tests as on other processors, and every kind of address, as tables in docs/everywhere.md (half an hour)
# make load   two classes of 30 and 100 at work, a rush, a thousand who come and go; SECONDS=60 for each class, not 600

PYTHON ?= python3
PORT ?= 8501
SHARE ?= 1
WORKERS ?= 3
# Tests that wait for a browser or a server more than they compute: a third worker fills the two cores.
WAITING := tests/browser tests/everywhere tests/load
PY := .venv/bin/python

.PHONY: run classroom test bench reliability everywhere load gallery app tests

run: app
	@echo "Gradient Lab: http://127.0.0.1:$(PORT)"
	@exec $(PY) -m streamlit run app.py --server.port $(PORT) --server.headless true

# Without Streamlit's own greeting: it asks a server on the internet for this network's address.
classroom: app
	@exec $(PY) -m streamlit run app.py --server.port $(PORT) --server.headless true --server.address 0.0.0.0 \
		--logger.hideWelcomeMessage true

test: tests
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses 2 --dist loadfile $(WAITING:%=--ignore %)
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder -r R $(WAITING)

bench: tests
	for each in tests/benchmarks/bench_*.py; do echo "== $$each"; $(PY) $$each || exit 1; done

reliability: tests
	$(PY) -m tests.reliability --share $(SHARE)

everywhere: tests
	$(PY) -m tests.everywhere --write

load: tests
	$(PY) -m tests.reliability load

gallery: app
	$(PY) -m core gallery build
	$(PY) -m core gallery verify

app:
	@$(PYTHON) -m core.setup

tests:
	@$(PYTHON) -m core.setup --tests
