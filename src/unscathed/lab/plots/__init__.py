"""Plots: figures for papers and pages, small multiples with every seed in sight."""

from unscathed.lab.plots.forgetting import forgetting
from unscathed.lab.plots.price import price
from unscathed.lab.plots.stages import stages
from unscathed.lab.plots.susceptibility import susceptibility
from unscathed.lab.plots.write import plot

__all__ = ["forgetting", "plot", "price", "stages", "susceptibility"]
