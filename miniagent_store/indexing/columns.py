"""What filters look at, as columns: one for each field of the metadata that a filter has asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from miniagent_store.store.memory.filters import holds

# Whole numbers beyond are not all told apart by a float64.
EXACT = 2**53
_COMPARED = {
    "$gt": numpy.greater,
    "$gte": numpy.greater_equal,
    "$lt": numpy.less,
    "$lte": numpy.less_equal,
}
# Values that equal nothing and are in no order: mappings, lists, NaN.
_OTHER = (None, "other")


class Column:
    """A field: a code for each row, and what each code stands for.

    Args:
        name: of the field.
        room: rows to have room for.
    """

    def __init__(self, name: str, room: int) -> None:
        self._name = name
        self._codes = numpy.zeros(room, numpy.int32)
        self._code_of: dict[Any, int] = {}
        self._values: list[Any] = []
        self._numbers = numpy.full(16, numpy.nan)
        self._are_exact = True

    def put(self, row: int, metadata: Mapping[str, Any]) -> None:
        """Take in a row; rows come in order."""
        value = metadata.get(self._name)
        key = _key_of(value)
        code = self._code_of.get(key)
        if code is None:
            code = self._code_of[key] = len(self._values)
            self._values.append(value)
            self._note_number(code, value)
        if row >= len(self._codes):
            self._codes = _doubled(self._codes)
        self._codes[row] = code

    def _note_number(self, code: int, value: Any) -> None:
        if code >= len(self._numbers):
            self._numbers = _doubled(self._numbers, numpy.nan)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(value, int) and abs(value) > EXACT:
                self._are_exact = False
            else:
                self._numbers[code] = value

    def allows(self, operators: Mapping[str, Any], count: int) -> NDArray[numpy.bool_]:
        """Which of the first `count` rows pass."""
        # First read, so that all codes of these rows have their values, whatever is added meanwhile.
        codes = self._codes[:count]
        allowed = numpy.ones(count, numpy.bool_)
        for operator, value in operators.items():
            allowed &= self._allows(operator, value, codes)
        return allowed

    def _allows(self, operator: str, value: Any, codes: NDArray[numpy.int32]) -> NDArray[numpy.bool_]:
        if operator in {"$eq", "$ne"}:
            code = self._equal_to(value)
            same: NDArray[numpy.bool_] = codes == code
            return same if operator == "$eq" else ~same
        if operator == "$in":
            return numpy.asarray(numpy.isin(codes, [self._equal_to(each) for each in value]))
        values = len(self._values)
        if self._are_exact and not isinstance(value, str) and abs(value) <= EXACT:
            passes = _COMPARED[operator](self._numbers[:values], float(value))
        else:
            condition = {"": {operator: value}}
            passes = numpy.fromiter(
                (holds(condition, {"": each}) for each in self._values[:values]), numpy.bool_, values
            )
        passed: NDArray[numpy.bool_] = passes[codes]
        return passed

    def _equal_to(self, value: Any) -> int:
        key = _key_of(value)
        return -1 if key == _OTHER else self._code_of.get(key, -1)


class Columns:
    """Those that filters have asked for; made when they are asked for first."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}

    def put(self, row: int, metadata: Mapping[str, Any]) -> None:
        """Take in a row."""
        for column in self._columns.values():
            column.put(row, metadata)

    def want(self, names: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> None:
        """Make columns that are not there, of the metadata of all rows."""
        for name in names:
            if name not in self._columns:
                column = Column(name, max(len(metadata), 64))
                for row, each in enumerate(metadata):
                    column.put(row, each)
                self._columns[name] = column

    def lacks(self, names: Sequence[str]) -> bool:
        """Whether one of these is not there."""
        return any(name not in self._columns for name in names)

    def allows(self, conditions: Mapping[str, Mapping[str, Any]], count: int) -> NDArray[numpy.bool_]:
        """Which of the first `count` rows pass a checked filter, whose columns are there."""
        allowed = numpy.ones(count, numpy.bool_)
        for name, operators in conditions.items():
            allowed &= self._columns[name].allows(operators, count)
        return allowed


def _key_of(value: Any) -> Any:
    """The same for values that a filter takes for equal: 1 and 1.0, but not 1 and True."""
    if isinstance(value, bool):
        return ("bool", value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float) and not math.isnan(value):
        return value
    return _OTHER


def _doubled(array: NDArray[Any], fill: Any = 0) -> NDArray[Any]:
    """A copy with twice the room: who looks at the old one goes on."""
    grown = numpy.full(2 * len(array), fill, array.dtype)
    grown[: len(array)] = array
    return grown
