"""Each broken set-up is named, with its cure, and docs/doctor.md shows what is really printed."""

from __future__ import annotations

import json

import pytest

from tests.doctor.printed import PAGE, printed_of_good, run, run_as_nobody, section, wrong_in
from tests.doctor.setups import PASSWORD, SETUPS, SetUp

EACH = [
    pytest.param(name, setup, marks=[pytest.mark.slow] if setup.slow else [], id=name)
    for name, setup in SETUPS.items()
]


@pytest.mark.parametrize(("name", "setup"), EACH)
def test_it_is_named_with_its_cure(name: str, setup: SetUp) -> None:
    with setup.make() as url:
        if setup.nobody:
            printed, code, errors = run_as_nobody(url), 1, ""
        else:
            result = run(url)
            printed, code, errors = result.stdout, result.exit_code, result.stderr
            findings = json.loads(run(url, "--json").stdout)["findings"]
            found = [each for each in findings if each["level"] == setup.level]
            assert setup.check in {each["check"] for each in found}
            assert all(each["cure"] for each in found)

    mark = "ERROR" if setup.level == "error" else setup.level
    wrong = wrong_in(printed)
    assert any(line.startswith(f"{mark:7} {setup.check} ") for line in wrong.splitlines())
    assert "→ " in wrong
    assert code == (setup.level == "error")
    assert bool(errors) == (setup.level == "error" and not setup.nobody)
    assert PASSWORD not in printed + errors
    assert section(name, wrong) == PAGE.read_text(), "run: python -m tests.doctor.printed"


def test_nothing_is_wrong_with_a_good_one() -> None:
    printed = printed_of_good()

    assert "0 errors, 0 warnings" in printed
    assert section("good", printed) == PAGE.read_text(), "run: python -m tests.doctor.printed"


def test_each_example_of_the_page_is_printed_by_a_set_up() -> None:
    page = PAGE.read_text()

    assert page.count("<!-- doctor: ") == len(SETUPS) + 1
