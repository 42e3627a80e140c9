"""A figure beside its peer and its target, and the tables of figures."""

import math
import statistics
from typing import NamedTuple

from _documents import table

COLUMNS = ("figure", "ours", "peer", "ratio", "target", "met")


class Samples(NamedTuple):
    """The measurements of each round, ours and the peer's."""

    ours: list
    peer: list

    @property
    def ratios(self):
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def differences(self):
        return [ours - peer for ours, peer in zip(self.ours, self.peer, strict=True)]


class Figure(NamedTuple):
    """One row of a table.

    Attributes:
        name: What was measured.
        unit: The unit of `ours` and `peer`.
        ours: The median.
        spread: The interquartile range of `ours`.
        peer: The peer's median, None without a peer.
        peer_name: The peer's name.
        ratio: The median of the ratios of the rounds, None if it is not compared by ratio.
        ratio_spread: Their interquartile range.
        target: In words; empty without one.
        met: Whether the target was met; None without one.
        added: Whether `ours` is the difference to the peer.
    """

    name: str
    unit: str
    ours: float
    spread: float | None = None
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    ratio_spread: float | None = None
    target: str = ""
    met: bool | None = None
    added: bool = False


def interleave(rounds, measures):
    """Measure several things in turn, in the opposite order in every other round.

    Args:
        rounds: The number of rounds.
        measures: By name, a function that measures once and returns a number.
    """
    values = {name: [] for name in measures}
    for number in range(rounds):
        for name in measures if number % 2 == 0 else reversed(measures):
            values[name].append(measures[name]())
    return values


def in_turn(rounds, ours, peer):
    """Measure two things in turn, and return their samples."""
    return Samples(**interleave(rounds, {"ours": ours, "peer": peer}))


def spread(values):
    """Return the interquartile range; None of a single value."""
    if len(values) < 2:
        return None
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def single(name, unit, values, *, most=None):
    """Return a figure without a peer; `most` is its target."""
    figure = Figure(name, unit, statistics.median(values), spread(values))
    return figure if most is None else at_most(figure, most)


def at_most(figure, most):
    """Return a figure with an absolute target."""
    return figure._replace(target=f"≤ {shown(most)} {figure.unit}", met=figure.ours <= most)


def beside(name, unit, samples, peer_name, *, most=None, least=None):
    """Return a figure beside its peer; `most` or `least` is the target of the ratio."""
    ratio = statistics.median(samples.ratios)
    target, met = "", None
    if most is not None:
        target, met = f"≤ {most:g} ×", ratio <= most
    if least is not None:
        target, met = f"≥ {least:g} ×", ratio >= least
    return Figure(
        name,
        unit,
        statistics.median(samples.ours),
        spread(samples.ours),
        statistics.median(samples.peer),
        peer_name,
        ratio,
        spread(samples.ratios),
        target,
        met,
    )


def added(name, unit, samples, peer_name, *, most, share=0.0):
    """Return a figure of what ours takes more than its peer.

    Args:
        name: What was measured.
        unit: The unit of the samples.
        samples: The samples.
        peer_name: The peer's name.
        most: The target; 0 is met within the noise, half of the interquartile range.
        share: A share of the peer that may be reached instead, if it is more.
    """
    more, noise = statistics.median(samples.differences), spread(samples.differences)
    peer = statistics.median(samples.peer)
    if most == 0:
        target, bound = f"0 {unit} more, within the noise", (noise or 0) / 2
    else:
        target, bound = f"≤ {shown(most)} {unit}{f' or {share:.0%}' if share else ''} more", max(most, share * peer)
    return Figure(name, unit, more, noise, peer, peer_name, target=target, met=more <= bound, added=True)


def shown(value, digits=3):
    """Return a number rounded to its significant digits."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, decimals):,.{max(0, decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _with_spread(text, value, half):
    """Return a number with the spread beside it, unless that is less than a thousandth of the number."""
    return f"{text} ± {shown(half, 1 if half < 1 else 2)}" if half > abs(value) / 1000 else text


def cells(figure):
    """Return the cells of the figure's row."""
    ours = f"{'+' if figure.added and figure.ours > 0 else ''}{shown(figure.ours)} {figure.unit}"
    if figure.spread is not None:
        ours = _with_spread(ours, figure.ours, figure.spread / 2)
    peer = "" if figure.peer is None else f"{shown(figure.peer)} {figure.unit} ({figure.peer_name})"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    if figure.ratio_spread is not None:
        ratio = _with_spread(ratio, figure.ratio, round(figure.ratio_spread / 2, 2))
    return figure.name, ours, peer, ratio, figure.target, {True: "yes", False: "no", None: ""}[figure.met]


def text_table(figures):
    """Return the table for a terminal."""
    rows = [COLUMNS, *(tuple(cell.replace("`", "") for cell in cells(figure)) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown_table(figures):
    """Return the table in Markdown."""
    return table(COLUMNS, map(cells, figures))
