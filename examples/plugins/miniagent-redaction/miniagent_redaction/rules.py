"""What is looked for, and what makes sure that it is no mere number."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that must not be stored.

    Attributes:
        name: what stands in its place, in brackets.
        pattern: what it looks like.
        check: whether a match is one; None where the pattern says enough.
    """

    name: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None

    def matches(self, text: str) -> bool:
        """Whether a match of the pattern is what the rule looks for."""
        return self.check is None or self.check(text)


def is_card_number(text: str) -> bool:
    """Whether digits, spaces and hyphens are a card number: 13 to 19 digits, whose last one fits (Luhn)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether an account number's check digits fit (ISO 7064)."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(each, 36)) for each in moved)) % 97 == 1


# No two quantifiers of a pattern can take the same characters twice, so that no text makes them slow.
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("email", re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")),
        Rule("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b", re.ASCII), is_iban),
        Rule(
            "card", re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-]|\.\d)", re.ASCII), is_card_number
        ),
        Rule("phone", re.compile(r"(?<![\w+])\+[1-9](?:[ ()./-]{0,2}\d){7,14}(?!\d)", re.ASCII)),
        Rule(
            "secret",
            re.compile(r"\b(?:sk-[A-Za-z0-9_-]{20,200}|AKIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,251})\b"),
        ),
    )
}
