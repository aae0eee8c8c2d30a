"""What a backend promises, told at the end of a pytest run: held, broken, or not its to give.

pytest loads this by itself where miniagent-store is installed. It says nothing in a run without a
`StoreConformance`; where there are more than two, it says one line of each, and all with ``-v``.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

# Names of what an item carries to its reports, over xdist's workers too.
PROMISE, BACKEND = "miniagent_store.promise", "miniagent_store.backend"
FULL_UP_TO = 2


@dataclass
class Conformance:
    """What became of the promises of one test class."""

    title: str
    backend: str | None = None
    declares: dict[str, bool] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def line(self) -> str:
        """One line with the counts."""
        counts = [f"{self.held.total()} promises held"]
        if self.broken:
            counts.append(f"{sum(map(len, self.broken.values()))} broken")
        if self.skipped:
            counts.append(f"{self.skipped.total()} do not apply")
        return f"{self.title}{f' ({self.backend})' if self.backend else ''}: {', '.join(counts)}"

    def details(self) -> Iterable[str]:
        """What it declares, and the promises by what they are about."""
        for word, wanted in (("declares", True), ("does not declare", False)):
            names = [name for name, declared in self.declares.items() if declared is wanted]
            if names:
                yield f"{word}: {', '.join(names)}"
        yield "held: " + ", ".join(f"{about} {count}" for about, count in sorted(self.held.items()))
        for about, names in sorted(self.broken.items()):
            yield f"BROKEN, {about}: {', '.join(names)}"
        for reason, count in self.skipped.most_common():
            yield f"does not apply, {count}: {reason}"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note which promise a test of the suite holds."""
    base = sys.modules.get("miniagent_store.testing.conformance.base")
    of_class = getattr(item, "cls", None)
    if base is None or of_class is None or not issubclass(of_class, base.ConformanceBase):
        return
    name = getattr(item, "originalname", item.name)
    defined_in = next(each for each in of_class.__mro__ if name in vars(each))
    item.user_properties.append((PROMISE, [item.nodeid.rpartition("::")[0], _about(defined_in.__name__)]))


def note_backend(item: pytest.Item, name: str, capabilities: Any) -> None:
    """Let the report say which backend a test was run on, and what that declares."""
    declares = {each.name: getattr(capabilities, each.name) for each in fields(capabilities)}
    item.user_properties.append((BACKEND, [name, declares]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell all classes of the run."""
    found: dict[str, Conformance] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            _count(found, report, outcome)
    if not found:
        return
    terminalreporter.section("promises of a session store")
    full = len(found) <= FULL_UP_TO or terminalreporter.verbosity > 0
    width = min(shutil.get_terminal_size().columns, 110)
    for each in found.values():
        terminalreporter.write_line(each.line, red=bool(each.broken), green=not each.broken)
        if full or each.broken:
            for line in each.details():
                terminalreporter.write_line(fill(line, width, initial_indent="  ", subsequent_indent="   "))


def _count(found: dict[str, Conformance], report: Any, outcome: str) -> None:
    properties = dict(getattr(report, "user_properties", ()))
    # A test that passed has reports of what went before and after, too.
    if PROMISE not in properties or (outcome == "passed" and report.when != "call"):
        return
    title, about = properties[PROMISE]
    conformance = found.setdefault(title, Conformance(title))
    if BACKEND in properties:
        conformance.backend, conformance.declares = properties[BACKEND]
    if outcome == "passed":
        conformance.held[about] += 1
    elif outcome == "skipped":
        # A skip's report has the file, the line and the reason.
        conformance.skipped[str(report.longrepr[-1]).removeprefix("Skipped: ")] += 1
    else:
        conformance.broken[about].append(report.nodeid.rpartition("::")[2])


def _about(class_name: str) -> str:
    """ "RewriteBytesPromises": "rewrite bytes"."""
    words = re.findall(r"[A-Z][a-z]*", class_name.removesuffix("Promises"))
    return " ".join(words).lower() or class_name
