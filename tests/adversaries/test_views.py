"""Each view shows what its adversary may know; code that reaches past it fails."""

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, BlindView, OutputView, ParameterView, Trained

SAMPLES = blobs(12)


@pytest.fixture
def trained() -> Trained:
    return trained_by_hand(tiny_task(), SAMPLES)


def test_a_blind_view_shows_samples_and_no_model(trained: Trained) -> None:
    view = BlindView(SAMPLES)
    assert view.samples.ids == SAMPLES.ids
    for beyond in ("outputs", "margins", "model", "function", "validation", "trained", "weights", "__dict__"):
        with pytest.raises(AttributeError):
            getattr(view, beyond)


def test_an_output_view_answers_queries_and_shows_no_parameters(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES)
    assert torch.equal(view.outputs(SAMPLES), trained.outputs(SAMPLES))
    assert torch.equal(view.margins(SAMPLES), trained.evaluate(SAMPLES).margins)
    for beyond in ("model", "function", "validation", "trained", "weights", "__dict__"):
        with pytest.raises(AttributeError):
            getattr(view, beyond)


def test_a_parameter_view_shows_a_copy(trained: Trained) -> None:
    view = ParameterView(trained, SAMPLES, validation=blobs(6, seed=1))
    before = view.outputs(SAMPLES)
    with torch.no_grad():
        for parameter in view.model().parameters():
            parameter.zero_()
        for parameter in view.function().parameters.values():
            parameter.zero_()
    assert torch.equal(view.outputs(SAMPLES), before)
    with pytest.raises(AttributeError):
        _ = view.trained  # type: ignore[attr-defined]


def test_a_view_cannot_be_given_more(trained: Trained) -> None:
    with pytest.raises(AttributeError):
        BlindView(SAMPLES).model = trained.model  # type: ignore[attr-defined]


def test_bad_validation_samples_are_refused(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="empty"):
        ParameterView(trained, SAMPLES, validation=SAMPLES.only([]))
