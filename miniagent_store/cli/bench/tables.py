"""A result as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from miniagent_store.bench import (
    coordination,
    crowds,
    footprint,
    operations,
    serializers,
    startup,
    writers,
)
from miniagent_store.bench.compare import Change, Comparison
from miniagent_store.bench.figures import BY_HAND, OURS, SEALED, Figure, Result, Spread
from miniagent_store.cli.output import bytes_text, console, counted, show_table

Cells = Callable[[Figure], Sequence[str]]
_OWN = {OURS: "bold", SEALED: "bold"}


def show_result(result: Result) -> None:
    """Print everything, area by area."""
    _show_origin(result)
    for area, show in _SHOWN.items():
        figures = [each for each in result.figures if each.area == area]
        if figures:
            show(figures)
    for note in result.notes:
        click.echo(f"note: {note}", err=True)


def show_comparison(comparison: Comparison) -> None:
    """Print what got worse and what got better; what did neither is counted."""
    for title, changes in (("Worse", comparison.worse), ("Better", comparison.better)):
        if changes:
            _title(title, f"{counted(len(changes), 'figure')} of {len(comparison.changes)}")
            show_table(
                ["what", "then", "now", "times worse", "99 % between"],
                [_change_row(each) for each in changes],
                right=["then", "now", "times worse", "99 % between"],
                keep=["then", "now", "times worse", "99 % between"],
            )
    if not comparison.worse:
        click.echo(f"\nnothing got worse beyond noise, of {counted(len(comparison.changes), 'figure')}")


def _show_origin(result: Result) -> None:
    machine = result.machine
    memory = machine.get("memory")
    parts = [str(machine["processor"]), f"{machine['cores']} cores"]
    parts += [bytes_text(memory)] if memory else []
    click.echo(", ".join([*parts, str(machine["system"]), str(machine["python"])]))
    told = [f"{name} {version}" for name, version in result.packages.items()]
    click.echo(", ".join([*told, *(each for each in result.servers.values() if " " in each)]))
    commit = f", commit {result.commit[:12]}{'+' * result.commit.endswith('+')}" if result.commit else ""
    click.echo(f"{result.date}, {result.plan}{commit}")


def _show_operations(figures: Sequence[Figure]) -> None:
    for place in _unique(each.place for each in figures):
        for operation in (operations.APPEND, operations.LAST, operations.WHOLE):
            shown = [
                each
                for each in figures
                if (each.place, each.operation) == (place, operation) and each.length
            ]
            _grid(
                f"{place}: {operation}",
                "time of a call by messages of the history, and its ratio to hand-written code",
                shown,
                rows=lambda each: each.subject,
                columns=lambda each: f"{each.length:,}",
            )
    _grid(
        "Other calls",
        "time, and its ratio to a hand-written append of a turn",
        [each for each in figures if each.length is None],
        rows=lambda each: each.operation,
        columns=lambda each: each.place,
    )


def _show_crowds(figures: Sequence[Figure]) -> None:
    for place in _unique(each.place for each in figures):
        for operation, what in (
            (crowds.THROUGHPUT, "appended by tasks at once; more is better"),
            (crowds.TAIL, "99th percentile of an append by tasks at once"),
        ):
            _grid(
                f"{place}: {operation}",
                f"{what}, and the ratio to hand-written code",
                [each for each in figures if (each.place, each.operation) == (place, operation)],
                rows=lambda each: each.subject,
                columns=lambda each: f"{each.tasks:,}",
            )


def _show_coordination(figures: Sequence[Figure]) -> None:
    _grid(
        "Between two instances",
        "time, and its ratio to a hand-written append of a turn",
        figures,
        rows=lambda each: each.operation,
        columns=lambda each: each.place,
    )


def _show_serializers(figures: Sequence[Figure]) -> None:
    for operation in (serializers.ENCODE, serializers.DECODE):
        _grid(
            f"Serializers: {operation}",
            "time by bytes of a message, and its ratio to the bare codec",
            [each for each in figures if each.operation == operation],
            rows=lambda each: each.place,
            columns=lambda each: f"{each.length:,} B",
        )


def _show_memory(figures: Sequence[Figure]) -> None:
    _grid(
        "Memory",
        f"bytes a message, {footprint.PAYLOAD:.0f} of which are the message itself",
        figures,
        rows=lambda each: each.subject,
        columns=lambda each: each.place,
        cells=lambda each: (f"{each.spread.median:,.0f} B",),
    )


def _show_startup(figures: Sequence[Figure]) -> None:
    base = next(each.samples for each in figures if each.operation == startup.ASYNCIO)
    _title("Start-up", "and how much longer than import asyncio")
    columns = ("time", "middle half", "over")
    show_table(
        ["", *columns],
        [
            (
                each.operation,
                f"{each.spread.median:.0f} ms",
                f"{each.spread.low:.0f}–{each.spread.high:.0f}",
                _over(each.samples, base) if each.operation != startup.ASYNCIO else "",
            )
            for each in sorted(figures, key=lambda each: each.spread.median)
        ],
        right=columns,
        keep=["", *columns],
    )


def _over(samples: Sequence[float], base: Sequence[float]) -> str:
    """How much more, of the same rounds."""
    more = [mine - other for mine, other in zip(samples, base, strict=False)]
    return f"{Spread.of(more).median:+.1f} ms"


def _show_writers(figures: Sequence[Figure]) -> None:
    for place in _unique(each.place for each in figures):
        _grid(
            f"{place}: four processes append to one session",
            f"of {writers.WRITTEN} messages and {writers.PROCESSES * writers.TURNS} turns",
            [each for each in figures if each.place == place],
            rows=lambda each: each.subject,
            columns=lambda each: each.operation,
            cells=lambda each: (f"{each.spread.median:.0f}",),
        )


_SHOWN: dict[str, Callable[[Sequence[Figure]], None]] = {
    operations.AREA: _show_operations,
    crowds.AREA: _show_crowds,
    coordination.AREA: _show_coordination,
    writers.AREA: _show_writers,
    footprint.AREA: _show_memory,
    serializers.AREA: _show_serializers,
    startup.AREA: _show_startup,
}


def _two(figure: Figure) -> Sequence[str]:
    return _amount(figure.spread.median, figure.unit), _ratio(figure)


def _grid(
    title: str,
    explained: str,
    figures: Sequence[Figure],
    *,
    rows: Callable[[Figure], str],
    columns: Callable[[Figure], str],
    cells: Cells = _two,
) -> None:
    """A table of figures; a column may have several cells, of which the first has its name."""
    if not figures:
        return
    _title(title, explained)
    heads, found = _unique(map(columns, figures)), {(rows(each), columns(each)): each for each in figures}
    width = len(cells(figures[0]))
    names = _unique(map(rows, figures))
    # Blanks of different length: rich tells columns by their names.
    head = [
        text for number, each in enumerate(heads) for text in (each, *[" " * (number + 1)] * (width - 1))
    ]
    body = []
    for name in names:
        row = [name]
        for each in heads:
            figure = found.get((name, each))
            row += cells(figure) if figure is not None else [""] * width
        body.append(row)
    show_table(["", *head], body, right=head, keep=head, styles=[_OWN.get(name, "") for name in names])


def _title(title: str, explained: str) -> None:
    from rich.text import Text

    console().print(Text.assemble("\n", (title, "bold"), f"  {explained}"), soft_wrap=True)


def _ratio(figure: Figure) -> str:
    if figure.ratio is None or figure.subject == BY_HAND:
        return ""
    return _with_spread(figure.ratio)


def _with_spread(ratio: Spread) -> str:
    """Three digits, and half of what the middle half spans."""
    half = (ratio.high - ratio.low) / 2
    digits = 2 if ratio.median < 10 else 1 if ratio.median < 100 else 0
    return f"{ratio.median:,.{digits}f} ±{half:,.{digits}f}"


def _amount(value: float, unit: str) -> str:
    if unit == "turns/s":
        return f"{value:,.0f}/s"
    if unit == "ms":
        value, unit = value * 1e3, "µs"
    if unit != "µs":
        return f"{value:,.5g} {unit}".rstrip()
    for size, name in ((1e6, "s"), (1e3, "ms")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} µs" if value < 100 else f"{value:.0f} µs"


def _change_row(change: Change) -> Sequence[str]:
    figure = change.figure
    parts = [figure.place, figure.operation]
    parts += [f"history of {figure.length:,}"] if figure.length and figure.area == operations.AREA else []
    parts += [f"{figure.length:,} B"] if figure.length and figure.area == serializers.AREA else []
    parts += [f"{figure.tasks:,} tasks"] if figure.tasks else []
    parts += ["sealed"] if figure.subject == SEALED else []
    unit = "x by hand" if change.by_ratio else figure.unit
    return (
        ", ".join(part for part in parts if part),
        f"{change.old:,.3g} {unit}".rstrip(),
        f"{change.new:,.3g} {unit}".rstrip(),
        f"{change.factor:.2f}",
        f"{change.low:.2f}–{change.high:.2f}",
    )


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
