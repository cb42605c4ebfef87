"""Planning: how large a reserve must be, and what becomes of healing while it is spent."""

from unscathed.planning.depletion import Depletion, DepletionRow, depletion
from unscathed.planning.pilots import plan_reserve
from unscathed.planning.plan import ReservePlan
from unscathed.planning.points import PilotPoint

__all__ = ["Depletion", "DepletionRow", "PilotPoint", "ReservePlan", "depletion", "plan_reserve"]
