"""The reserve: spares, and the twins among them."""

from unscathed.reserve.spare_set import ReserveExhaustedError, SpareSet, Twins

__all__ = ["ReserveExhaustedError", "SpareSet", "Twins"]
