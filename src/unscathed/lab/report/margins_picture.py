"""Margins picture: how sure each model is of the forgotten and of unseen samples, as outlines of two histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MarginsPicture:
    """One model's histograms, in a box of a width of as many units as there are bins and a height of 100.

    Args:
        name: of the model.
        bins: how many.
        forgotten, unseen: outlines, as SVG paths.
        medians: where they stand, in bins: of the forgotten, of the unseen.
        gold: where gold's median of the forgotten stands; None where there is no gold.
        told: the medians in words.
    """

    name: str
    bins: int
    forgotten: str
    unseen: str
    medians: tuple[float, float]
    gold: float | None
    told: str


def margins_pictures(margins: Mapping[str, Any], names: Mapping[str, str]) -> list[MarginsPicture]:
    """A picture for each model, on one scale.

    Args:
        margins: as the record of an audit holds them.
        names: how each model is spoken of.
    """
    low, high = margins["low"], margins["high"]
    shares = {
        name: {part: _shares(found["counts"]) for part, found in of.items()} for name, of in margins["models"].items()
    }
    top = max(share for of in shares.values() for part in of.values() for share in part)
    bins = len(next(iter(shares.values()))["forgotten"])

    def place(name: str, part: str) -> float:
        share = (margins["models"][name][part]["median"] - low) / (high - low)
        return float(max(0.0, min(1.0, share)) * bins)

    pictures = []
    for name, of in shares.items():
        medians = [margins["models"][name][part]["median"] for part in ("forgotten", "unseen")]
        pictures.append(
            MarginsPicture(
                name=names[name],
                bins=bins,
                forgotten=_outline(of["forgotten"], top),
                unseen=_outline(of["unseen"], top),
                medians=(place(name, "forgotten"), place(name, "unseen")),
                gold=place("gold", "forgotten") if "gold" in shares else None,
                told=f"medians: forgotten {medians[0]:.1f}, unseen {medians[1]:.1f}".replace("-", "−"),
            )
        )
    return pictures


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]


def _outline(shares: Sequence[float], top: float) -> str:
    """Steps from the lower left to the lower right."""
    steps = " ".join(f"V{100 - 96 * share / top:.1f}H{place + 1}" for place, share in enumerate(shares))
    return f"M0 100{steps}V100"
