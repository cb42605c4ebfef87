from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import GradientAscent, NegGradPlus, Recipe, Saliency, Scrub, Unlearner, fit


@pytest.mark.parametrize(
    "unlearner", [NegGradPlus(), Scrub(), Saliency(), GradientAscent()], ids=lambda u: type(u).__name__
)
def test_a_second_request_draws_other_batches(unlearner: Unlearner) -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=3, batch_size=16), seed=0)
    later = replace(trained, history=trained.history * 2)
    one, other = (unlearner.unlearn(model, blobs(), blobs().ids[:20]) for model in (trained, later))
    assert any(not torch.equal(w, other.weights[name]) for name, w in one.weights.items())
