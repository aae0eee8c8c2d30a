"""Docstrings say "Example:" where there is one; the reader of docstrings knows "Examples:" only."""

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Shows doctests as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each class, function, module and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
