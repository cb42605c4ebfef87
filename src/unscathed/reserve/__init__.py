"""The reserve: spares, and the twins among them."""

from unscathed.reserve import screens
from unscathed.reserve.approximate import Approximate
from unscathed.reserve.pairing import Pairing, pair
from unscathed.reserve.screens import Screening, screen
from unscathed.reserve.selection import hold_back
from unscathed.reserve.spare_set import SpareSet
from unscathed.reserve.stock import Gone, Stock
from unscathed.reserve.twins import ReserveExhaustedError, Twins

__all__ = [
    "Approximate",
    "Gone",
    "Pairing",
    "ReserveExhaustedError",
    "Screening",
    "SpareSet",
    "Stock",
    "Twins",
    "hold_back",
    "pair",
    "screen",
    "screens",
]
