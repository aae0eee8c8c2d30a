"""Frozen values made as fast as those that are not frozen, or only when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, make_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")


def maker(cls: type[T]) -> Callable[..., T]:
    """A function that makes values of a frozen, slotted dataclass from all its fields, in their order.

    The initializer of a frozen dataclass calls `object.__setattr__` for each field
    (https://docs.python.org/3/library/dataclasses.html#frozen-instances), which takes five times as long. A
    twin with the same slots is filled as usual, and then said to be of the class.
    """
    twin: Any = make_dataclass(cls.__name__, [each.name for each in fields(cls)], slots=True)  # type: ignore[arg-type]

    def make(*values: Any) -> T:
        made = twin(*values)
        made.__class__ = cls
        return made  # type: ignore[no-any-return]

    return make


class FilledLater:
    """Base of a frozen, slotted dataclass whose fields may be worked out when one is first looked at.

    It is for what most callers drop. What is worked out must not be able to fail.
    """

    __slots__ = ("_source",)

    if not TYPE_CHECKING:  # or any attribute would be there for a type checker

        def __getattr__(self, name: str) -> Any:
            # Asked for a field only where its slot is still empty
            # (https://docs.python.org/3/reference/datamodel.html#object.__getattr__).
            try:
                source = object.__getattribute__(self, "_source")
            except AttributeError:
                source = None
            if source is not None:
                values, of = source
                for each, value in zip(fields(self), values(of), strict=True):
                    object.__setattr__(self, each.name, value)
                # Last, so that another thread that looks on meanwhile fills it as well.
                object.__setattr__(self, "_source", None)
            return object.__getattribute__(self, name)


Later = TypeVar("Later", bound=FilledLater)
_new: Callable[[type[Any]], Any] = object.__new__
_set_source = vars(FilledLater)["_source"].__set__


def filled_later(cls: type[Later], values: Callable[[Any], Sequence[Any]], of: Any) -> Later:
    """A value whose fields are `values(of)`, in their order."""
    made: Later = _new(cls)
    _set_source(made, (values, of))
    return made
