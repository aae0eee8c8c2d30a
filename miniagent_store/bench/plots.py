"""A result as pictures: cost by history, throughput by tasks, and ratios as bars."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from miniagent_store.bench import crowds, operations
from miniagent_store.bench.figures import BY_HAND, OURS, SEALED, Figure, Result
from miniagent_store.errors import MissingExtraError

_DPI = 150
# Told apart also by who sees no colours: by their markers.
_OWN_STYLES = {
    OURS: {"color": "#c1272d", "marker": "o", "linewidth": 2.4, "zorder": 5},
    SEALED: {"color": "#e58a5a", "marker": "s", "linewidth": 1.4, "linestyle": "--", "zorder": 4},
    BY_HAND: {"color": "#222222", "marker": "D", "linewidth": 2.0, "zorder": 3},
}
_COLOURS = ("#1f6fb4", "#2e8b57", "#8a5fb0", "#c98a00", "#4bb3b3", "#9a6a4a", "#7f7f7f", "#d3649f")
_MARKERS = ("^", "v", "<", ">", "P", "X", "*", "h")
_UNITS = ((1.0, "µs"), (1e3, "ms"), (1e6, "s"))


def check_plots() -> None:
    """Raise `MissingExtraError` where pictures cannot be made, before anything is measured."""
    _figure_class()


def draw(result: Result, folder: Path) -> list[Path]:
    """Write PNG files into a folder, which is made; which ones.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OSError: the folder cannot be written to.
    """
    make = _figure_class()
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for place in dict.fromkeys(each.place for each in result.figures):
        own = [each for each in result.figures if each.place == place]
        histories = [each for each in own if each.area == operations.AREA and each.length is not None]
        throughput = [each for each in own if each.operation == crowds.THROUGHPUT]
        for name, figures, picture in (
            ("cost", histories, _cost),
            ("throughput", throughput, _throughput),
            ("ratios", [each for each in histories if each.ratios], _ratios),
        ):
            if figures:
                drawn = picture(make, figures)
                where = result.servers.get(place, place)
                drawn.suptitle(f"{where}: {_TITLES[name]}\n{_origin(result)}", fontsize=11)
                path = folder / f"{name}-{place}.png"
                drawn.savefig(path, dpi=_DPI)
                made.append(path)
    return made


_TITLES = {
    "cost": "what a call costs, by the length of the history",
    "throughput": "turns a second, by tasks that append at once",
    "ratios": "time of a call, by that of hand-written code",
}


def _figure_class() -> Any:
    try:
        return import_module("matplotlib.figure").Figure
    except ModuleNotFoundError:
        raise MissingExtraError("--plot", package="matplotlib", extra="plot") from None


def _origin(result: Result) -> str:
    commit = f", commit {result.commit[:10]}" if result.commit else ""
    return f"{result.machine['processor']}, {result.machine['cores']} cores, {result.date[:10]}{commit}"


def _operations(figures: Sequence[Figure]) -> list[str]:
    known = [operations.APPEND, operations.LAST, operations.WHOLE]
    return [each for each in known if any(figure.operation == each for figure in figures)]


def _cost(make: Any, figures: Sequence[Figure]) -> Any:
    panels = _operations(figures)
    picture = make(figsize=(4.2 * len(panels), 5.2), layout="constrained")
    axes = picture.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, operation in zip(axes, panels, strict=True):
        shown = [each for each in figures if each.operation == operation]
        _lines(axis, shown, [each.length or 0 for each in shown])
        axis.set_title(operation, fontsize=11)
        axis.set_xlabel("messages of the history")
    _ticks(axes[0].yaxis, _time)
    axes[0].set_ylabel("time of a call")
    _legend(picture, axes)
    return picture


def _throughput(make: Any, figures: Sequence[Figure]) -> Any:
    picture = make(figsize=(7.2, 5.2), layout="constrained")
    axis = picture.subplots()
    _lines(axis, figures, [each.tasks or 0 for each in figures])
    axis.set_xlabel("tasks at once, each on a session of its own")
    axis.set_ylabel("turns a second")
    _ticks(axis.yaxis, _number)
    _legend(picture, [axis])
    return picture


def _lines(axis: Any, figures: Sequence[Figure], places: Sequence[int]) -> None:
    """One line a subject through the medians, with the middle half of the rounds as bars."""
    for subject, style in _styles(figures).items():
        points = sorted(
            (place, each.spread)
            for place, each in zip(places, figures, strict=True)
            if each.subject == subject
        )
        medians = [spread.median for _, spread in points]
        below = [spread.median - spread.low for _, spread in points]
        above = [spread.high - spread.median for _, spread in points]
        axis.errorbar(
            [place for place, _ in points],
            medians,
            yerr=(below, above),
            capsize=2,
            elinewidth=0.8,
            markersize=5,
            label=subject,
            **style,
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(sorted(set(places)), [f"{place:,}" for place in sorted(set(places))])
    axis.minorticks_off()
    axis.grid(True, which="major", color="#dddddd", linewidth=0.6)


def _ratios(make: Any, figures: Sequence[Figure]) -> Any:
    """Bars at the longest history that most took part in."""
    length = max(
        {each.length or 0 for each in figures},
        key=lambda length: (sum(each.length == length for each in figures), length),
    )
    shown = [each for each in figures if each.length == length and each.subject != BY_HAND]
    panels, styles = _operations(shown), _styles(shown)
    subjects = list(styles)
    picture = make(figsize=(4.4 * len(panels), 2.0 + 0.36 * len(subjects)), layout="constrained")
    axes = picture.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, operation in zip(axes, panels, strict=True):
        ratios = {each.subject: each.ratio for each in shown if each.operation == operation and each.ratio}
        for row, subject in enumerate(subjects):
            if (ratio := ratios.get(subject)) is None:
                continue
            spread = ([ratio.median - ratio.low], [ratio.high - ratio.median])
            # From 1 on, to the left what is faster.
            axis.barh(
                row,
                ratio.median - 1,
                left=1,
                xerr=spread,
                color=styles[subject]["color"],
                height=0.66,
                error_kw={"linewidth": 0.8},
            )
            axis.annotate(
                f"{ratio.median:.3g}",
                (max(ratio.high, 1), row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axis.axvline(1, color="#222222", linewidth=1)
        axis.set_xscale("log")
        least = min((each.low for each in ratios.values()), default=1)
        most = max((each.high for each in ratios.values()), default=1)
        axis.set_xlim(min(least * 0.8, 0.5), max(most, 1) ** 1.2 * 1.8)
        _ticks(axis.xaxis, _number)
        axis.set_title(f"{operation}, history of {length:,}", fontsize=11)
        axis.set_xlabel("times hand-written code; less is better")
        axis.grid(True, axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0].set_yticks(range(len(subjects)), subjects)
    axes[0].invert_yaxis()
    return picture


def _styles(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """By subject: this package first, then hand-written code, then the others in their order."""
    found = dict.fromkeys(each.subject for each in figures)
    others = (
        {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": _MARKERS[number % len(_MARKERS)],
            "linewidth": 1.2,
        }
        for number in count()
    )
    own = {subject: style for subject, style in _OWN_STYLES.items() if subject in found}
    return own | {subject: next(others) for subject in found if subject not in own}


def _ticks(axis: Any, formatter: Any) -> None:
    """At 1, 2 and 5, or only at powers of ten where these are too many."""
    low, high = sorted(axis.get_view_interval())
    steps = (1, 2, 5) if high / low < 200 else (1,)
    ticker = import_module("matplotlib.ticker")
    axis.set_major_locator(ticker.LogLocator(subs=steps, numticks=20))
    axis.set_major_formatter(formatter)
    axis.set_minor_locator(ticker.NullLocator())


def _legend(picture: Any, axes: Sequence[Any]) -> None:
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    picture.legend(
        handles.values(), handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )


def _time(microseconds: float, _: int) -> str:
    size, unit = next(((size, unit) for size, unit in reversed(_UNITS) if microseconds >= size), _UNITS[0])
    return f"{microseconds / size:g} {unit}"


def _number(value: float, _: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
