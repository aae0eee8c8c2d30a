# One short command for each thing that is done often. PYTHON=… picks the interpreter.
PYTHON ?= python

.PHONY: check lint types test slow bench

check: lint types test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	lint-imports

types:
	$(PYTHON) -m mypy
	$(PYTHON) -m pyright

test:
	$(PYTHON) -m pytest

# The full counts of the promises: 300 kills, programs of 2,000 calls, and the like.
slow:
	$(PYTHON) -m pytest -m slow -s

bench:
	$(PYTHON) benchmarks/import_time.py
	$(PYTHON) benchmarks/append_cost.py
	$(PYTHON) benchmarks/serializers.py
	$(PYTHON) benchmarks/sqlite_group_commit.py
	$(PYTHON) benchmarks/redis_floor.py
