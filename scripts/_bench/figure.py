"""A figure beside its peer and its target, and the tables of them."""

import math
import statistics
from typing import NamedTuple

COLUMNS = ("figure", "ours", "peer", "ratio", "target", "met")


class Samples(NamedTuple):
    """What the rounds of a measurement gave, ours and the peer's side by side."""

    ours: list
    peer: list

    @property
    def ratios(self):
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def differences(self):
        return [ours - peer for ours, peer in zip(self.ours, self.peer, strict=True)]


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        section: Where it belongs.
        name: What was measured.
        unit: Of `ours` and `peer`.
        ours: The median.
        spread: The interquartile range of `ours`.
        peer: The peer's median, None without a peer.
        peer_name: Who that is.
        ratio: The median of the ratios of the rounds, None without a peer.
        ratio_spread: Their interquartile range.
        target: In words; empty without one.
        met: Whether it was reached; None without one.
    """

    section: str
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


def in_turn(rounds, ours, peer):
    """Measure two things in turn, each first in every other round.

    Args:
        rounds: How many.
        ours: Measures one of them; returns a number.
        peer: Measures the other.
    """
    samples = Samples([], [])
    for number in range(rounds):
        pair = [(ours, samples.ours), (peer, samples.peer)]
        for measure, kept in pair if number % 2 == 0 else reversed(pair):
            kept.append(measure())
    return samples


def spread(values):
    """The interquartile range."""
    if len(values) < 2:
        return None
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def single(section, name, unit, values, *, most=None):
    """A figure without a peer; `most` is its target."""
    ours = statistics.median(values)
    target, met = ("", None) if most is None else (f"≤ {shown(most)} {unit}", ours <= most)
    return Figure(section, name, unit, ours, spread(values), target=target, met=met)


def beside(section, name, unit, samples, peer_name, *, most=None, least=None):
    """A figure beside its peer; `most` or `least` is the target of the ratio."""
    ratio = statistics.median(samples.ratios)
    target, met = "", None
    if most is not None:
        target, met = f"≤ {most:g} ×", ratio <= most
    if least is not None:
        target, met = f"≥ {least:g} ×", ratio >= least
    return Figure(
        section,
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


def added(section, name, unit, samples, peer_name, *, most, share):
    """What ours takes longer than its peer, whose target is the larger of a number and a share."""
    longer = statistics.median(samples.differences)
    bound = max(most, share * statistics.median(samples.peer))
    figure = beside(section, name, unit, samples, peer_name)
    return figure._replace(target=f"≤ {share:.0%} or {shown(most)} {unit} more", met=longer <= bound)


def shown(value):
    """A number with three digits that count."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cells(figure):
    """The cells of its line."""
    ours = f"{shown(figure.ours)} {figure.unit}"
    if figure.spread is not None:
        ours += f" ± {shown(figure.spread / 2)}"
    peer = "" if figure.peer is None else f"{shown(figure.peer)} {figure.unit} ({figure.peer_name})"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}" if figure.ratio < 10 else f"{figure.ratio:.0f}"
    if figure.ratio_spread is not None:
        ratio += f" ± {figure.ratio_spread / 2:.2f}"
    met = {True: "yes", False: "no", None: ""}[figure.met]
    return figure.name, ours, peer, ratio, figure.target, met


def text_table(figures):
    """The table for a terminal."""
    rows = [COLUMNS, *(tuple(cell.replace("`", "") for cell in cells(figure)) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines, section = [], None
    for row, figure in zip(rows, [None, *figures], strict=True):
        if figure is not None and figure.section != section:
            section = figure.section
            lines.append(f"\n{section}")
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(lines)


def markdown_table(figures):
    """The table for the README."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    section = None
    for figure in figures:
        if figure.section != section:
            section = figure.section
            lines.append(f"| **{section}** |" + " |" * (len(COLUMNS) - 1))
        lines.append("| " + " | ".join(cells(figure)) + " |")
    return "\n".join(lines)
