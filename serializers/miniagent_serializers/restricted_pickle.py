"""A pickle machine that calls nothing but classes of an exact list.

In Python, so that each opcode can be checked: the machine in C would also let BUILD change a listed class
itself, REDUCE call an object, and EXT take a class from a cache that no list is asked about.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

from miniagent_store.errors import DecodeError

Classes = Mapping[tuple[str, str], type]
"""(module, qualified name) → class."""

_SHOWABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,95}")

# What Pickler writes by protocols 2 to 4, without persistent ids and the extension registry.
# fmt: off
_OPCODES = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT",
    "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE",
    "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS",
    "FROZENSET", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL", "STACK_GLOBAL",
    "REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX",
)
# fmt: on


class RestrictedUnpickler(pickle._Unpickler):
    """Reads one pickle.

    Args:
        data: the bytes.
        classes: all that may be named.
    """

    without: ClassVar[frozenset[str]] = frozenset()
    """Opcodes that a subclass does not run."""

    stack: list[Any]
    dispatch: ClassVar[dict[int, Callable[[pickle.Unpickler], None]]]

    def __init_subclass__(cls) -> None:
        cls.dispatch = _dispatch(cls)

    def __init__(self, data: bytes, classes: Classes) -> None:
        self._file = io.BytesIO(data)
        super().__init__(self._file)
        self._classes = classes

    def load(self) -> Any:
        """The object.

        Raises:
            DecodeError: it names a class that is not listed, or bytes follow it. Any other exception: the
                bytes are no pickle that this machine runs.
        """
        value = super().load()
        if self._file.read(1):
            raise DecodeError("corrupt", detail="more bytes follow the pickle")
        return value

    def find_class(self, module: str, name: str) -> Any:
        found = self._classes.get((module, name))
        if found is None:
            shown = f"{module}.{name}"
            raise DecodeError(
                "class not allowed",
                detail=f"{shown if _SHOWABLE.fullmatch(shown) else 'a class'} is not on the list",
            )
        return found

    def persistent_load(self, pid: Any) -> NoReturn:
        raise DecodeError("corrupt", detail="persistent ids are not used")

    # The arguments lie on the stack, the last one on top.

    def load_reduce(self) -> None:
        self._check_called(self.stack[-2])
        pickle._Unpickler.load_reduce(self)  # type: ignore[attr-defined]

    def load_newobj(self) -> None:
        self._check_called(self.stack[-2])
        pickle._Unpickler.load_newobj(self)  # type: ignore[attr-defined]

    def load_newobj_ex(self) -> None:
        self._check_called(self.stack[-3])
        pickle._Unpickler.load_newobj_ex(self)  # type: ignore[attr-defined]

    def load_build(self) -> None:
        if isinstance(self.stack[-2], type):
            raise DecodeError("corrupt", detail="it would change a class")
        pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]

    def _check_called(self, function: Any) -> None:
        if not isinstance(function, type):
            raise DecodeError("corrupt", detail="it would call what is no class")


def _dispatch(cls: Any) -> dict[int, Callable[..., None]]:
    """Which method runs which opcode; those that are not listed run none."""
    inherited: dict[int, Callable[..., None]] = pickle._Unpickler.dispatch
    allowed: dict[int, Callable[..., None]] = {}
    for name in set(_OPCODES) - cls.without:
        code = getattr(pickle, name)[0]
        method = inherited[code]
        allowed[code] = getattr(cls, method.__name__, method)
    return allowed


RestrictedUnpickler.dispatch = _dispatch(RestrictedUnpickler)
