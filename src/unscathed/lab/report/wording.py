"""Wording: numbers as a reader should see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sized

from unscathed.audit.verdict import MARKS
from unscathed.lab.results import Results


def decimals(results: Results) -> int:
    """How many decimals a percentage deserves: two where 10,000 test samples or more stand behind it."""
    count = results.environment.get("test_samples")
    return 2 if isinstance(count, int) and count >= 10_000 else 1


def signed(value: float, digits: int) -> str:
    """A difference with its sign, ``±`` where it rounds to nothing."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return f"±{text}"
    return f"{'+' if value > 0 else '−'}{text}"


def percent(value: float, digits: int) -> str:
    """A percentage; its sign stays on the number's line."""
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}%"


def times(value: float) -> str:
    """A price as a share of another, in three digits: ``0.16×``, ``12.3×``."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}×"


def span(values: Iterable[float], show: Callable[[float], str]) -> str:
    """The least and the largest of some numbers, or the one text that both have."""
    ordered = sorted(values)
    low, high = show(ordered[0]), show(ordered[-1])
    return low if low == high else f"{low} to {high}"


def counted(things: Sized, one: str, many: str | None = None) -> str:
    """How many there are: ``1 case``, ``2 cases``."""
    return f"{len(things):,} {one if len(things) == 1 else many or f'{one}s'}"


def tally(outcomes: Iterable[str | None]) -> str:
    """How often each outcome occurs: ``3 of 5 pass, 1 fails, 1 without enough evidence``."""
    counts = Counter(outcome for outcome in outcomes if outcome is not None)
    total = counts.total()
    if not total:
        return "not audited"
    parts = [f"{counts['pass']} of {total} pass{'es' if counts['pass'] == 1 else ''}"]
    if counts["fail"]:
        parts.append(f"{counts['fail']} fail{'s' if counts['fail'] == 1 else ''}")
    if counts["not enough evidence"]:
        parts.append(f"{counts['not enough evidence']} without enough evidence")
    return ", ".join(parts)


def mark(outcome: str | None) -> str:
    """The mark of an audit's outcome, a dash where there was no audit."""
    return dict[str | None, str](MARKS.items()).get(outcome, "–")
