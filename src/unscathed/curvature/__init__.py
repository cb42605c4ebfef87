"""What unlearners and adversaries share: gradients, Fisher information, inverse curvature products."""

from unscathed.curvature.fisher import fisher_diagonal
from unscathed.curvature.functional import ModelFunction
from unscathed.curvature.gauss_newton import GaussNewton, Solution, conjugate_gradients, gauss_newton_product
from unscathed.curvature.hessian import hessian, solve_by_magnitude
from unscathed.curvature.kronecker import Kronecker, kronecker_factors
from unscathed.curvature.weighted_squares import weighted_squares

__all__ = [
    "GaussNewton",
    "Kronecker",
    "ModelFunction",
    "Solution",
    "conjugate_gradients",
    "fisher_diagonal",
    "gauss_newton_product",
    "hessian",
    "kronecker_factors",
    "solve_by_magnitude",
    "weighted_squares",
]
