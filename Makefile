# One short command for each thing that is done often. PYTHON=… picks the interpreter.
PYTHON ?= python

.PHONY: check lint types test slow bench faults soak

check: lint types test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	lint-imports

types:
	$(PYTHON) -m mypy
	$(PYTHON) -m pyright

test:
	$(PYTHON) -m pytest -n auto --dist loadfile

# The full counts of the promises: 300 kills, programs of 2,000 calls, and the like.
slow:
	$(PYTHON) -m pytest -m slow -s

bench:
	$(PYTHON) -m miniagent_store bench
	$(PYTHON) -m pytest benchmarks/test_benchmarks.py
	$(PYTHON) benchmarks/import_time.py
	$(PYTHON) benchmarks/encoding.py
	$(PYTHON) benchmarks/sqlite_group_commit.py
	$(PYTHON) benchmarks/large_reads.py
	$(PYTHON) benchmarks/observing.py
	$(PYTHON) benchmarks/tenants.py
	$(PYTHON) benchmarks/web_pages.py
	$(PYTHON) -m benchmarks.web_conversation

# All faults on all servers, with the full counts; writes docs/faults.md.
faults:
	rm -f faults.jsonl
	FAULT_REPORT=faults.jsonl $(PYTHON) -m pytest tests/faults -m "slow or not slow"
	$(PYTHON) benchmarks/fault_table.py faults.jsonl

# Random faults on a cluster; MINUTES=… says for how long.
MINUTES ?= 10
soak:
	$(PYTHON) benchmarks/soak.py $(MINUTES)
