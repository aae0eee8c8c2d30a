"""Characters that deceive: shown as what they are, so that a text is read as it is stored.

A control character that turns the direction of writing around has the text behind it read backwards, so
that a name looks like another; others are not seen at all.
"""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

# Controls but for tab and line ends; what embeds or overrides a direction (UAX #9); what no text may hold.
_DECEIVING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """`text` with ‹U+202E› where it holds such a character."""
    return _DECEIVING.sub(lambda match: f"‹U+{ord(match[0]):04X}›", text)


def visible_value(value: Any) -> Any:
    """The same for what a template is about to show; what is HTML already stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
