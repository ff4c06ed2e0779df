# make run    start the app on a fresh machine (Python 3.11 or newer): venv, packages, server
# make classroom   the same for a class: on the network, with a class code, a teacher's code and a QR code of the address
# make test   pass everything: format, lint, types, tests (a real browser among them)
# make bench  print the measured figures of the README again
# make reliability   every promise at full length, in one table (an hour or two); SHARE=0.01 for a quick look
# make load   two classes of 30 and 100 at work, a rush, a thousand who come and go; SECONDS=60 for each class, not 600

PYTHON ?= python3
PORT ?= 8501
SHARE ?= 1
BIN := .venv/bin

.PHONY: run classroom test bench reliability load gallery

run: .venv/app
	@echo "Gradient Lab: http://127.0.0.1:$(PORT)"
	@exec $(BIN)/streamlit run app.py --server.port $(PORT) --server.headless true

# Without Streamlit's own greeting: it asks a server on the internet for this network's address.
classroom: .venv/app
	@exec $(BIN)/streamlit run app.py --server.port $(PORT) --server.headless true --server.address 0.0.0.0 \
		--logger.hideWelcomeMessage true

test: .venv/tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --ignore tests/browser --ignore tests/load
	$(BIN)/python -m pytest --reruns 1 tests/browser tests/load

bench: .venv/tests
	for each in tests/benchmarks/bench_*.py; do echo "== $$each"; $(BIN)/python $$each || exit 1; done

reliability: .venv/tests
	$(BIN)/python -m tests.reliability --share $(SHARE)

load: .venv/tests
	$(BIN)/python -m tests.reliability load

gallery: .venv/app
	$(BIN)/python -m core gallery build
	$(BIN)/python -m core gallery verify

.venv/app: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gradient Lab needs Python 3.11 or newer; set PYTHON=python3.12, say.")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/tests: .venv/app tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@
