"""Each view shows what its adversary may know; code that reaches past it fails."""

import pickle
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import pytest
import torch
from tests.support import blobs, ridge_trained, tiny_task, trained_by_hand

from unscathed import BadInputError, BlindView, OutputView, ParameterView, Samples, Trained
from unscathed.adversaries import LayoutView, QueryBudgetError, ServiceView

SAMPLES = blobs(12)
OTHERS = blobs(5, seed=9)
OF_FUNCTIONS = ("__self__", "__func__", "__wrapped__", "__dict__", "__defaults__", "__kwdefaults__", "__annotations__")


@pytest.fixture
def trained() -> Trained:
    return trained_by_hand(tiny_task(), SAMPLES)


def reached(start: object) -> list[object]:
    """All that attributes, items and the insides of functions lead to from here, closures left out."""
    found: dict[int, object] = {}
    waiting = [start]
    while waiting:
        thing = waiting.pop()
        if id(thing) in found or isinstance(thing, type | Samples | str | int | float | torch.dtype):
            continue
        found[id(thing)] = thing
        if isinstance(thing, FunctionType | MethodType | BuiltinFunctionType):
            names = [n for n in OF_FUNCTIONS if hasattr(thing, n)]
        elif isinstance(thing, torch.Tensor):
            names = ["_base", "grad_fn"]
        else:
            names = [n for n in dir(thing) if not n.startswith("__")]
        for name in names:
            try:
                waiting.append(getattr(thing, name))
            except (AttributeError, NotImplementedError):
                continue
        if isinstance(thing, dict):
            waiting += thing.values()
        elif isinstance(thing, list | tuple):
            waiting += thing
    return list(found.values())


def shows_a_model(start: object, trained: Trained) -> bool:
    weights = {t.data_ptr() for t in [*trained.weights.values(), *trained._model.parameters()]}
    return any(
        isinstance(thing, Trained | torch.nn.Module)
        or (isinstance(thing, torch.Tensor) and thing.data_ptr() in weights)
        for thing in reached(start)
    )


def views(trained: Trained) -> list[OutputView]:
    return [
        OutputView(trained, SAMPLES),
        OutputView(trained, SAMPLES, queries=7, owners={"0": "ann"}),
        OutputView(trained, SAMPLES, queries=7, labels_only=True),
    ]


def test_a_blind_view_shows_samples_and_no_model(trained: Trained) -> None:
    view = BlindView(SAMPLES)
    assert view.samples.ids == SAMPLES.ids
    beyond = "outputs margins losses model function last_layer validation trained weights __dict__"
    for name in beyond.split():
        with pytest.raises(AttributeError):
            getattr(view, name)
    assert not shows_a_model(view, trained)


def test_an_output_view_answers_queries_and_shows_no_parameters(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES)
    assert torch.equal(view.outputs(SAMPLES), trained.outputs(SAMPLES))
    assert torch.equal(view.margins(SAMPLES), trained.evaluate(SAMPLES).margins)
    assert torch.equal(view.losses(SAMPLES), trained.evaluate(SAMPLES).losses)
    for beyond in ("model", "function", "last_layer", "validation", "trained", "weights", "__dict__"):
        with pytest.raises(AttributeError):
            getattr(view, beyond)


def test_nothing_that_an_output_view_holds_or_answers_leads_to_the_model(trained: Trained) -> None:
    for view in views(trained):
        assert not shows_a_model(view, trained)
        assert not shows_a_model(view.outputs(OTHERS), trained)
    assert not shows_a_model(views(trained)[0].margins(OTHERS), trained)
    # What finds nothing there does find what is not shut.
    leaking = OutputView(trained, SAMPLES)
    leaking.outputs = trained.outputs
    assert shows_a_model(leaking, trained)
    assert shows_a_model({"a": [trained.weights["0.weight"][:1]]}, trained)


def test_answers_are_copies(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES)
    before = [answer.clone() for answer in (view.outputs(SAMPLES), view.margins(SAMPLES), view.losses(SAMPLES))]
    for answer in (view.outputs(SAMPLES), view.margins(SAMPLES), view.losses(SAMPLES)):
        answer.zero_()
    assert all(map(torch.equal, before, [view.outputs(SAMPLES), view.margins(SAMPLES), view.losses(SAMPLES)]))


def test_every_input_that_is_sent_counts(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES, queries=30)
    view.outputs(SAMPLES)
    assert view.queries_left == 18
    view.margins(OTHERS)
    view.losses(OTHERS)
    assert view.queries_left == 8
    with pytest.raises(QueryBudgetError, match="12 inputs are sent, and 8 of 30 queries are left"):
        view.outputs(SAMPLES)
    assert view.queries_left == 8
    view.outputs(OTHERS)
    view.outputs(OTHERS.at(torch.tensor([0, 0, 0])))
    assert view.queries_left == 0
    for ask in (view.outputs, view.margins, view.losses):
        with pytest.raises(QueryBudgetError, match="1 inputs are sent, and 0 of 30"):
            ask(OTHERS.only(OTHERS.ids[:1]))
    with pytest.raises(AttributeError):
        view.queries_left = 99  # type: ignore[misc]


def test_nothing_is_answered_beyond_the_budget(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[int] = []
    real = Trained.outputs
    monkeypatch.setattr(Trained, "outputs", lambda self, of: answered.append(len(of)) or real(self, of))
    view = OutputView(trained, SAMPLES, queries=11)
    with pytest.raises(QueryBudgetError):
        view.outputs(SAMPLES)
    assert answered == []
    view.outputs(OTHERS)
    assert answered == [5]


def test_who_may_ask_as_often_as_it_likes(trained: Trained) -> None:
    for view in (OutputView(trained, SAMPLES), ParameterView(trained, SAMPLES, validation=OTHERS)):
        for _ in range(3):
            view.outputs(SAMPLES)
        assert view.queries_left is None


def test_an_error_about_queries_is_bad_input_and_travels() -> None:
    error = pickle.loads(pickle.dumps(QueryBudgetError("cannot query the model", ["too many"])))
    assert type(error) is QueryBudgetError
    assert isinstance(error, BadInputError)
    assert str(error) == "cannot query the model: too many"


def test_labels_only_answers_with_predicted_classes(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES, queries=20, labels_only=True)
    answer = view.outputs(SAMPLES)
    assert answer.dtype == torch.int64
    assert torch.equal(answer, trained.outputs(SAMPLES).argmax(dim=1))
    for ask, words in ((view.margins, "no margins"), (view.losses, "no losses")):
        with pytest.raises(BadInputError, match=words):
            ask(OTHERS)
    assert view.queries_left == 8, "what is refused is not counted"
    assert not OutputView(trained, SAMPLES).labels_only


def test_what_cannot_be_a_view(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="queries=-1"):
        OutputView(trained, SAMPLES, queries=-1)
    regression, samples = ridge_trained()
    assert not OutputView(regression, samples).predicts_classes
    with pytest.raises(BadInputError, match="needs a task that predicts classes; Ridge does not"):
        OutputView(regression, samples, labels_only=True)


def test_owners_are_public_and_fixed(trained: Trained) -> None:
    owners: dict[Any, str | None] = {SAMPLES.ids[0]: "ann", SAMPLES.ids[3]: None, "elsewhere": "bob"}
    for view in (
        BlindView(SAMPLES, owners=owners),
        OutputView(trained, SAMPLES, owners=owners),
        ParameterView(trained, SAMPLES, validation=OTHERS, owners=owners),
    ):
        assert view.owners == {i: "ann" if i == SAMPLES.ids[0] else None for i in SAMPLES.ids}
        with pytest.raises(TypeError):
            view.owners["elsewhere"] = "ann"  # type: ignore[index]
    assert BlindView(SAMPLES).owners is None


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


def test_a_service_view_asks_what_unlearning_would_do_and_is_counted(trained: Trained) -> None:
    view = ServiceView(trained, SAMPLES, unlearned=lambda request: float(len(request)))
    assert view.queries == 0
    assert [view.unlearned(SAMPLES), view.unlearned(SAMPLES.only(SAMPLES.ids[:2]))] == [12.0, 2.0]
    assert view.queries == 2
    assert torch.equal(view.outputs(SAMPLES), trained.outputs(SAMPLES))
    for beyond in ("model", "function", "validation", "trained", "weights", "__dict__"):
        with pytest.raises(AttributeError):
            getattr(view, beyond)
    with pytest.raises(AttributeError):
        view.queries = 0  # type: ignore[misc]


def test_a_view_cannot_be_given_more(trained: Trained) -> None:
    with pytest.raises(AttributeError):
        BlindView(SAMPLES).model = trained.model  # type: ignore[attr-defined]


def test_bad_validation_samples_are_refused(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="empty"):
        ParameterView(trained, SAMPLES, validation=SAMPLES.only([]))


@pytest.mark.parametrize("kind", [BlindView, OutputView, ParameterView, LayoutView])
def test_every_view_is_made_from_what_any_shows(kind: type[BlindView], trained: Trained) -> None:
    owners = {SAMPLES.ids[0]: "somebody"}
    view = kind.of(trained, SAMPLES, validation=blobs(6, seed=1), owners=owners)
    assert type(view) is kind
    assert view.samples.ids == SAMPLES.ids
    assert view.owners is not None
    assert view.owners[SAMPLES.ids[0]] == "somebody"


def test_a_view_that_lacks_something_says_so(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="a ParameterView needs validation"):
        ParameterView.of(trained, SAMPLES)
    with pytest.raises(BadInputError, match="a ServiceView needs unlearned"):
        ServiceView.of(trained, SAMPLES)
