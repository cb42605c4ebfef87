"""Power: how large a difference must be for a check to fail it."""

from __future__ import annotations

from scipy import stats

from unscathed.audit.intervals import Difference

POWER = 0.8
"""How surely a check must fail a difference for us to say that it would have seen it."""


def detectable(of: Difference, bound: float, side: int) -> float | None:
    """The smallest true difference beyond a bound that fails in four of five such audits.

    A check fails where the whole interval lies beyond the bound, so the estimate must come out an interval's half
    beyond it: ``d = bound ± (q + z_0.80) · error(d)``, where q is the interval's own quantile (z_0.975, or Student's).

    Args:
        of: the difference that was seen, for its errors.
        bound: what is tolerated.
        side: 1 for differences above the bound, -1 for those below.

    Returns:
        The difference; infinite where there is none so large, None where what was seen is without spread (two equal
        models) or without an end, and so tells nothing of errors.
    """
    reach = of.high - of.difference if side < 0 else of.difference - of.low
    if not 0 < reach < float("inf") or of.standard_error == 0:
        return None
    quantile = reach / of.standard_error + float(stats.norm.ppf(POWER))
    if not of.answers:
        return bound + side * quantile * of.standard_error

    def fails(difference: float) -> bool:
        return side * (difference - bound) >= quantile * of.error_at(difference)

    # The errors of right-or-wrong answers grow with the difference; so it is sought between the bound and the end.
    near, far = bound, float(side)
    if not fails(far):
        return side * float("inf")
    for _ in range(40):
        middle = (near + far) / 2
        near, far = (near, middle) if fails(middle) else (middle, far)
    return far
