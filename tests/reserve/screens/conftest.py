"""A reserve of 575 digits, and the model that knows none of them."""

import pytest
from tests.support import Crowd, digit_setup

from unscathed import fit


@pytest.fixture(scope="session")
def crowd() -> Crowd:
    made = digit_setup()
    samples, spares = made.samples.split(reserve=0.4, seed=1)
    return Crowd(fit(made.task, samples, made.recipe, seed=0), samples, spares)
