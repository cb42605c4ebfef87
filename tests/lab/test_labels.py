import pytest

from unscathed.lab.labels import Labels, measure, parse, ranked, strategy, variant

ADVERSARIES = ["ParameterAware(budget=0.05)", "OneClass(budget=0.05)", "Random(budget=0.05)"]


@pytest.mark.parametrize(
    ("axis", "values", "labels"),
    [
        ("adversary", ADVERSARIES, ["parameter-aware", "blind", "random"]),
        ("adversary", ["Random(budget=0.05)", "OneClass(budget=0.3)"], ["random 5 %", "blind 30 %"]),
        ("adversary", ["Random(budget=0.005)", "Random(budget=40)"], ["random 0.5 %", "random 40 samples"]),
        ("adversary", ["Random(budget=0.1)", "Mine(budget=0.1, eye=2)"], ["random", "Mine"]),
        ("unlearner", ["Sisa(shards=3)", "Fisher(kl_budget=0.05)"], ["SISA", "Fisher"]),
        ("unlearner", ["Sisa(shards=3)", "Sisa(shards=5, slices=2)"], ["SISA (shards=3)", "SISA (shards=5, slices=2)"]),
        ("unlearner", ["Sisa", "Sisa(shards=5)"], ["SISA", "SISA (shards=5)"]),
        ("healer", ["Healer", "Healer(strategy='retain')"], ["retain + twins", "retain"]),
        (
            "healer",
            ["Healer(steps=10)", "Healer(steps=20, strategy='twins')", "Mine"],
            ["retain + twins (steps=10)", "twins (steps=20)", "Mine"],
        ),
        (
            "similarity",
            ["Cosine(space=Raw)", "Cosine(space=Features)"],
            ["cosine (space=Raw)", "cosine (space=Features)"],
        ),
        ("dataset", ["image_folder(path='a(b')", "mnist"], ["image_folder", "MNIST"]),
        ("dataset", ["no call (", ""], ["no call (", ""]),
        ("seed", [3, 10], ["3", "10"]),
        ("stage", ["gold"], ["gold"]),
    ],
)
def test_a_label_is_as_long_as_it_takes_to_tell_values_apart(axis: str, values: list[str], labels: list[str]) -> None:
    label = Labels(axis, values)
    assert [label(value).replace("\N{NO-BREAK SPACE}", " ") for value in values] == labels


def test_values_come_in_the_order_in_which_readers_meet_them() -> None:
    assert ranked("adversary", ADVERSARIES) == ADVERSARIES[::-1]
    budgets = [f"Random(budget={share})" for share in (0.05, 0.3, 0.1)]
    assert ranked("adversary", budgets) == [budgets[0], budgets[2], budgets[1]]
    assert ranked("unlearner", ["Zeta", "Fisher", "Retrain"]) == ["Retrain", "Fisher", "Zeta"]
    healers = ["Healer(strategy='twins')", "Healer(strategy='retain')", "Mine", "Healer", None, float("nan")]
    assert ranked("healer", healers) == ["Healer", "Healer(strategy='retain')", "Healer(strategy='twins')", "Mine"]
    assert ranked("seed", [10, 2]) == [2, 10]


def test_a_healer_has_a_strategy_and_what_else_tells_it_from_others() -> None:
    assert (strategy("Healer"), variant("Healer")) == ("retain+twins", "")
    assert (strategy("Healer(steps=3, strategy='retain')"), variant("Healer(steps=3, strategy='retain')")) == (
        "retain",
        "steps=3",
    )
    assert (strategy("Mine(x=1)"), variant("Mine(x=1)")) == ("retain+twins", "Mine")


def test_texts_are_taken_apart() -> None:
    call = parse("Fisher(kl_budget=0.05, space=Raw(size=3), augment=(Flip(), Shift(by=2)))")
    assert call.name == "Fisher"
    assert call.arguments == {"kl_budget": 0.05, "space": "Raw(size=3)", "augment": "(Flip(), Shift(by=2))"}


def test_an_unknown_measure_keeps_its_name() -> None:
    assert measure("classifier_score").heading == "classifier score"
    assert measure("test_accuracy").heading == "test accuracy, %"


def test_values_are_found_by_text_by_label_and_by_title() -> None:
    label = Labels("adversary", ["Random(budget=0.05)", "Random(budget=0.3)", "OneClass(budget=0.3)"])
    assert label.find("Random(budget=0.05)") == label.find("random 5 %") == ["Random(budget=0.05)"]
    assert label.find("random") == ["Random(budget=0.05)", "Random(budget=0.3)"]
    assert label.find("nobody") == []
