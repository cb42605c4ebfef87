import math
from functools import partial

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from unscathed import BadInputError, Batch, Samples, fit
from unscathed.lab.models import CharacterTransformer
from unscathed.lab.tasks import LanguageModel
from unscathed.task import majority_vote

TEXTS = torch.tensor([[3, 4, 2, 1, 0, 0], [2, 2, 3, 4, 1, 4], [4, 0, 0, 0, 0, 0]])
BATCH = Batch(TEXTS, torch.empty(3, 0))
TASK = LanguageModel(partial(CharacterTransformer, 5, 6, width=8, heads=2, layers=1), 5)
LENGTHS = (4, 6, 1)


def logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_loss_is_the_mean_surprise_at_the_characters_after_the_first() -> None:
    expected = [
        -sum(float(Categorical(logits=logits()[row, t]).log_prob(TEXTS[row, t + 1])) for t in range(length - 1))
        / max(1, length - 1)
        for row, length in enumerate(LENGTHS)
    ]
    losses = TASK.losses(logits(), BATCH)
    assert losses.tolist() == pytest.approx(expected)
    assert losses[2] == 0, "nothing follows a single character"
    assert TASK.scores(logits(), BATCH).tolist() == pytest.approx([-e / math.log(2) for e in expected])


def test_divergences_are_kl() -> None:
    expected = [
        sum(
            float(kl_divergence(*(Categorical(logits=logits(seed)[row, t]) for seed in (0, 1))))
            for t in range(length - 1)
        )
        / max(1, length - 1)
        for row, length in enumerate(LENGTHS)
    ]
    assert TASK.divergences(logits(0), logits(1), BATCH).tolist() == pytest.approx(expected)


def test_several_models_answer_with_their_mean_probability() -> None:
    parts = [logits(seed) for seed in range(3)]
    mean = torch.stack([p.softmax(-1) for p in parts]).mean(0)
    torch.testing.assert_close(TASK.aggregate(parts).exp(), mean)


def test_several_models_vote_place_by_place() -> None:
    parts = [logits(seed) for seed in range(3)]
    voted = TASK.vote(parts)
    assert TASK.can_vote
    for row in range(3):
        for place in range(6):
            alone = majority_vote([p[row, place] for p in parts])
            torch.testing.assert_close(voted[row, place], alone)
    assert torch.isfinite(TASK.losses(voted, BATCH)).all()


def test_features_are_averaged_over_the_text() -> None:
    model = TASK.build().eval()
    entered = model.encoder(  # type: ignore[operator]
        model.embed(TEXTS),  # type: ignore[operator]
        mask=torch.nn.Transformer.generate_square_subsequent_mask(6),
        is_causal=True,
    )
    expected = torch.stack([entered[row, :length].mean(0) for row, length in enumerate(LENGTHS)])
    torch.testing.assert_close(TASK.features(model, BATCH), expected)
    named = LanguageModel(TASK.model, 5, features="embed")
    assert torch.equal(named.features(model, BATCH), model.embed(TEXTS).flatten(1))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (TEXTS.float(), "a row of at least 2 integers"),
        (TEXTS[:, :1], "a row of at least 2 integers"),
        (TEXTS + 1, r"inputs lie in 1…5; with vocabulary=5 they must lie in 0…4"),
        (TEXTS - 1, r"inputs lie in -1…3"),
    ],
)
def test_inputs_that_are_no_texts_are_refused(inputs: torch.Tensor, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        fit(TASK, Samples(inputs))
