"""The reserve: spares, and the twins among them."""

from unscathed.reserve import screens
from unscathed.reserve.screens import Screening, screen
from unscathed.reserve.spare_set import SpareSet
from unscathed.reserve.stock import Gone, Stock
from unscathed.reserve.twins import ReserveExhaustedError, Twins

__all__ = ["Gone", "ReserveExhaustedError", "Screening", "SpareSet", "Stock", "Twins", "screen", "screens"]
