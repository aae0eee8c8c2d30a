"""Tables for the docs from a result of ``miniagent-store bench --json``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from text_table import markdown_table, number

from miniagent_store.bench import coordination, crowds, footprint, operations, serializers, startup, writers
from miniagent_store.bench.figures import BY_HAND, OURS, Figure, Result

PLACES = {"redis": "Redis", "sqlite": "SQLite", "memory": "memory"}


def _figures(result: Result, area: str, place: str | None = None) -> list[Figure]:
    return [each for each in result.figures if each.area == area and (place is None or each.place == place)]


def _ratio(figure: Figure) -> str:
    # In memory hand-written code is a dict and a list: a store that copies what it is given is no match.
    spread = None if figure.place == "memory" else figure.ratio
    return f"{spread.median:.2f} ({spread.low:.2f}–{spread.high:.2f})" if spread else "–"


def calls(result: Result) -> str:
    """What calls of a lone caller take, by the length of the history."""
    rows = [
        [
            PLACES[each.place],
            each.operation,
            "" if each.length is None else number(each.length),
            number(each.spread.median, 1 if each.spread.median < 100 else 0),
            _ratio(each),
        ]
        for place in PLACES
        for each in _figures(result, operations.AREA, place)
        if each.subject == OURS
    ]
    return markdown_table(["on", "call", "history", "median µs", "× hand-written"], rows)


def crowd(result: Result) -> str:
    """What many tasks do together."""
    rows = []
    for place in PLACES:
        found = _figures(result, crowds.AREA, place)
        tails = {
            each.tasks: each for each in found if each.subject == OURS and each.operation == crowds.TAIL
        }
        for each in found:
            if each.subject == OURS and each.operation == crowds.THROUGHPUT:
                tail = tails[each.tasks]
                rows.append(
                    [
                        PLACES[place],
                        number(each.tasks or 0),
                        number(each.spread.median),
                        _ratio(each),
                        number(tail.spread.median, 1),
                        _ratio(tail),
                    ]
                )
    return markdown_table(["on", "tasks", "turns/s", "× hand-written", "p99 ms", "× hand-written's"], rows)


def others(result: Result) -> str:
    """Everyone beside hand-written code, with what is left when four processes write to one session."""
    rows = []
    for place in ("redis", "sqlite"):
        columns = list(_columns(result, place))
        names = dict.fromkeys(
            each.subject for each in _figures(result, operations.AREA, place) if each.subject != BY_HAND
        )
        rows += [
            [PLACES[place], name, *(cell.get(name, "–") for cell in columns)]
            for name in sorted(names, key=lambda name: not name.startswith(OURS))
        ]
    return markdown_table(_OTHER_HEADS, rows)


_OTHER_HEADS = [
    "on",
    "who",
    "append, 10",
    "append, 1,000",
    "last 20 of 1,000",
    "all of 1,000",
    "64 tasks",
    "kept of 202",
    "turns unbroken of 100",
]


def _columns(result: Result, place: str) -> Iterator[Mapping[str, str]]:
    timed = _figures(result, operations.AREA, place)
    for operation, length in (
        (operations.APPEND, 10),
        (operations.APPEND, 1_000),
        (operations.LAST, 1_000),
        (operations.WHOLE, 1_000),
    ):
        yield {
            each.subject: f"{each.ratio.median:.2f}"
            for each in timed
            if each.operation == operation and each.length == length and each.ratio
        }
    yield {
        each.subject: f"{each.ratio.median:.2f}"
        for each in _figures(result, crowds.AREA, place)
        if each.operation == crowds.THROUGHPUT and each.tasks == 64 and each.ratio
    }
    for operation in (writers.KEPT, writers.UNBROKEN):
        yield {
            each.subject: number(each.spread.median)
            for each in _figures(result, writers.AREA, place)
            if each.operation == operation
        }


def beside(result: Result) -> str:
    """Locks, cache, events; memory a message; start-up."""
    areas = (coordination.AREA, footprint.AREA, startup.AREA)
    rows = [
        [
            each.operation,
            PLACES.get(each.place, ""),
            number(each.spread.median, 1),
            each.unit,
            f"{number(each.spread.low, 1)}–{number(each.spread.high, 1)}",
        ]
        for area in areas
        for each in _figures(result, area)
        if each.subject == OURS
    ]
    return markdown_table(["what", "on", "median", "unit", "quartiles"], rows)


def codecs(result: Result) -> str:
    """Serializers and layers, a message of each size."""
    found = _figures(result, serializers.AREA)
    lengths = list(dict.fromkeys(each.length for each in found))
    cells: dict[tuple[str, int | None, str], Figure] = {
        (each.subject, each.length, each.operation): each for each in found
    }

    def pair(subject: str, length: int | None) -> str:
        each = [cells.get((subject, length, what)) for what in (serializers.ENCODE, serializers.DECODE)]
        return " / ".join("–" if one is None else number(one.spread.median, 1) for one in each)

    subjects = dict.fromkeys(each.subject for each in found)
    return markdown_table(
        ["µs to encode / decode", *(f"{number(length or 0)} B" for length in lengths)],
        [[subject, *(pair(subject, length) for length in lengths)] for subject in subjects],
    )


def about(result: Result) -> str:
    """Machine, servers, commit."""
    machine = result.machine
    servers: Sequence[str] = [each for each in result.servers.values() if each != "memory"]
    return (
        f"Of {result.date[:10]}: "
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['python']}, "
        f"{', '.join(servers)}, redis-py {result.packages.get('redis', '–')}."
    )


TABLES: Mapping[str, Callable[[Result], str]] = {
    "about": about,
    "calls": calls,
    "crowd": crowd,
    "others": others,
    "beside": beside,
    "codecs": codecs,
}
