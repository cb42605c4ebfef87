"""Look: the colours and signs that every figure shares, on pages and on paper."""

from __future__ import annotations

from collections.abc import Iterable

from unscathed.lab.labels import BOTH, CONTROL, TITLES, TWINS

# Okabe and Ito's colours, which most colour-blind people can tell apart, as far as they show on white and on black.
COLOURS = {"Retrain": "#8c8c8c", "SISA": "#009e73", "Fisher": "#d55e00", "Influence": "#3a8fd0"}
FURTHER = ("#cc79a7", "#e69f00", "#56b4e9", "#7f4f24", "#5c4d9e", "#a3a500", "#e377c2", "#17becf")
GOLD = "#b8860b"
ORIGINAL = "#858585"
MARKERS = {"original": "o", "gold": "_", "unlearned": "v", BOTH: "o", CONTROL: "D", TWINS: "X"}
"""Of the model's states, in matplotlib's letters; healed ones by strategy."""
MORE_MARKERS = ("s", "P", "^", "*", "<", ">", "h", "p")
HOLLOW = ("original", CONTROL)


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each unlearner, the same in every figure.

    Args:
        names: labels, in the order in which they are shown; the first of a kind has the kind's own colour.
    """
    further = iter(FURTHER)
    given: dict[str, str] = {}
    for name in dict.fromkeys(names):
        kind = next((title for title in TITLES.values() if name.split(" (")[0] == title), name)
        own = COLOURS.get(kind)
        given[name] = own if own and own not in given.values() else next(further, ORIGINAL)
    return given
