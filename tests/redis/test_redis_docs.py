"""docs/redis.md says what the code says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.plugin import OPTIONS
from miniagent_backends.redis.rights import acl_rules

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"
WIDTH = 100


def wrapped(rules: str) -> str:
    """The rules in lines, as they stand in the page."""
    lines = [""]
    for rule in rules.split():
        if len(lines[-1]) + len(rule) >= WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {rule}".strip()
    return "\n".join(lines)


def more(**needs: bool) -> str:
    """What these needs add."""
    there = set(acl_rules(Keys()).split())
    return " ".join(rule for rule in acl_rules(Keys(), **needs).split() if rule not in there)


def written() -> str:
    """The page, with what is generated in its places."""
    page = PAGE.read_text()
    for name, rules in {"standalone": acl_rules(Keys()), "namespace": acl_rules(Keys("team"))}.items():
        block = rf"(<!-- acl: {name} -->\n```\n).*?(```\n)"
        page = re.sub(block, lambda m, r=rules: f"{m[1]}{wrapped(r)}\n{m[2]}", page, flags=re.DOTALL)
    for name in ("cluster", "replicas", "tenants", "database"):
        page = re.sub(rf"(<!-- acl: {name} -->).*", rf"\1 `{more(**{name: True})}`", page)
    return page


def test_the_acl_lines_are_those_of_the_code() -> None:
    """With WRITE_DOCS=1 they are written."""
    page = written()
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page


@pytest.mark.parametrize("option", sorted(name for name in OPTIONS if not name.endswith("_prefix")))
def test_each_option_is_explained(option: str) -> None:
    assert f"`{option}`" in PAGE.read_text() or option in {"db", "protocol"}
