"""Other frameworks' classes, read from the annotations of their functions."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints


def class_in_hint(annotated: Any, name: str) -> type | None:
    """The class that annotates `name` (a parameter or field); of an optional one, the class in it.

    None where there is no such annotation, or where it cannot be resolved or names no class of its own.
    """
    try:
        hint = get_type_hints(annotated).get(name)
    except (NameError, TypeError, AttributeError):
        return None
    candidates = [each for each in get_args(hint) or (hint,) if each is not type(None)]
    if len(candidates) != 1 or not inspect.isclass(candidates[0]):
        return None
    found = candidates[0]
    return None if found.__module__ in ("builtins", "typing") else found


def accepted(function: Any, offered: dict[str, Any]) -> dict[str, Any]:
    """Those of `offered` that `function` takes as named parameters.

    What goes into ``**kwargs`` is not counted: it is unknown whether it is understood.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    named = {
        name
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return {name: value for name, value in offered.items() if name in named}
