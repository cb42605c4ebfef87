"""The reserve: spares, and the twins among them."""

from unscathed.reserve.spare_set import SpareSet
from unscathed.reserve.stock import Gone, Stock
from unscathed.reserve.twins import ReserveExhaustedError, Twins

__all__ = ["Gone", "ReserveExhaustedError", "SpareSet", "Stock", "Twins"]
