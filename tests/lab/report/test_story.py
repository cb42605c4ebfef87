import pytest
from tests.support.results import made_results

from unscathed.lab.report.story import story
from unscathed.lab.results import Results

FISHER = ("parameter-aware", "fisher", "retain+twins")


def told(results: Results) -> str:
    parts = (
        " ".join([p.heading, *p.sentences, *(f"{about}: {said}" for about, said in p.items)]) for p in story(results)
    )
    return "\n".join(parts).replace("\N{NO-BREAK SPACE}", " ")


def test_a_model_that_remembers_more_than_gold_did_not_forget() -> None:
    text = told(made_results(but={FISHER: {"forget_accuracy": 78.75, "forgotten": "fail"}}))
    assert (
        "Fisher, parameter-aware: the healed model still answers 78.8 % of the forgotten right where gold has 62.5 %: "
        "it did not forget. Before healing it had 66.2 %." in text
    )
    assert text.count("did not forget") == 1
    assert "3 of 4 pass, 1 fails." in text


@pytest.mark.parametrize(
    "healed",
    [
        {"forget_accuracy": 63.75, "forgotten": "pass"},
        {"forget_accuracy": 78.75, "forgotten": "not enough evidence"},
        {"forget_accuracy": 31.25, "forgotten": "fail"},
        {"forget_accuracy": 78.75, "forgotten": None},
    ],
)
def test_nothing_else_is_said_not_to_have_forgotten(healed: dict[str, object]) -> None:
    text = told(made_results(but={FISHER: healed}))
    assert "did not forget" not in text
    assert ("answers only 31.2 % of the forgotten right where gold has 62.5 %" in text) == (
        healed["forgotten"] == "fail"
    )


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ("pass", "the audit cannot tell"),
        ("not enough evidence", "the audit cannot tell"),
        ("fail", "evidence is lacking"),
    ],
)
def test_an_audit_that_does_not_find_the_originals_memory_says_so(control: str, words: str) -> None:
    place = ("parameter-aware", "fisher", "original")
    undecided = {FISHER: {"forgotten": "not enough evidence"}, place: {"forgotten": control}}
    text = told(made_results(but=undecided))
    assert f"In 1 of 4 cases {words}" in text
    assert ("the audit cannot tell" in text) == (control != "fail")


def test_membership_alone_can_give_a_model_away() -> None:
    text = told(made_results(but={FISHER: {"forget_accuracy": 60.0, "membership_auc": 0.7, "forgotten": "fail"}}))
    assert "gives away that it saw the forgotten (membership AUC 0.700, gold 0.523): it did not forget" in text


def test_exact_unlearning_is_not_said_to_remember() -> None:
    place = ("random", "sisa", "retain+twins")
    text = told(made_results(unlearners=["sisa"], but={place: {"forget_accuracy": 78.75, "forgotten": "fail"}}))
    assert (
        "answers 78.8 % of the forgotten right where SISA’s own retraining has 66.2 %. Its unlearning is exact" in text
    )
    assert "did not forget" not in text


def test_spares_that_were_too_close_are_counted() -> None:
    places = [(a, u, "retain+twins") for a in ("random", "parameter-aware") for u in ("retrain", "fisher")]
    text = told(made_results(but={place: {"refused": n} for n, place in enumerate(places)}))
    assert "0 to 3 spares for a request were nearly a forgotten sample" in text
    assert "nearly a forgotten sample" not in told(made_results())


def test_gold_is_not_blamed_where_the_audit_compared_with_something_else() -> None:
    place = ("random", "certified", "retain+twins")
    text = told(made_results(unlearners=["certified"], but={place: {"forget_accuracy": 78.75, "forgotten": "fail"}}))
    assert "It was compared with what this method's own retraining gives, not with gold." in text
    assert "where gold has" not in text


def test_a_difference_within_noise_is_called_that() -> None:
    text = told(made_results())
    assert "adding twins changed test accuracy by +0.5 points, +0.5 on average over 4 cases" in text
    # p = 0.9, n = 400: 100 √(0.9 · 0.1 / 400) = 1.5 points, and √2 of that for a difference.
    assert "standard error of such an accuracy is 1.5 points, and of the difference of two up to 2.1." in text
    assert "this was one seed: differences of this size may be noise" in text
    assert "never by more than two standard errors" in text


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [(98.0, "1 in the twins’ favour and 0 against"), (81.0, "0 in the twins’ favour and 1 against")],
)
def test_a_difference_beyond_noise_is_called_that(accuracy: float, said: str) -> None:
    text = told(made_results(but={FISHER: {"test_accuracy": accuracy}}))
    assert said in text
    assert "1 of 4 times by more than two standard errors" in text
    assert "nothing here shows" not in text


def test_without_the_number_of_test_samples_no_error_is_claimed() -> None:
    text = told(made_results(environment={"test_samples": None}))
    assert "standard error" not in text
    assert "differences may be noise" in text


def test_steps_that_differ_are_not_called_equal() -> None:
    assert "for as many gradient steps." in told(made_results())
    assert "not always for as many gradient steps" in told(made_results(but={FISHER: {"steps": 41}}))


def test_twins_alone_are_poison_where_they_are() -> None:
    place = ("parameter-aware", "fisher", "twins")
    text = told(made_results(but={place: {"test_accuracy": 36.25, "forget_accuracy": 98.75}}))
    assert "They can be poison: in 1 of 4 cases" in text
    assert "worst Fisher under the parameter-aware adversary, from 84.8 % to 36.2 %" in text
    assert "In 1 of 4 cases it then answered more of the forgotten right than even the original." in text
    harmless = told(made_results(but={place: {"test_accuracy": 82.0}}))
    assert "poison" not in harmless
    assert "than even the original" not in harmless


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        (("twins",), "Twins alone"),
        (("retain",), "Was it the twins?"),
        (("retain+twins",), "In short"),
        (("unlearned",), "Twins alone"),
        (("gold",), "What it cost"),
    ],
)
def test_what_was_not_measured_is_left_out(without: tuple[str, ...], missing: str) -> None:
    assert missing in {paragraph.heading for paragraph in story(made_results())}
    assert missing not in {paragraph.heading for paragraph in story(made_results(without=without))}


def test_one_adversary_and_one_unlearner_make_a_story() -> None:
    text = told(made_results(adversaries=["blind"], unlearners=["influence"]))
    assert "raised test accuracy in 1 of 1 case, lowered it in 0" in text
    assert "on average" not in text
    assert "Influence: 0.16× gold’s gradient steps, 0.25× its time." in text


def test_what_gold_lost_is_not_measured_against_sisas_ensemble() -> None:
    text = told(made_results(unlearners=["sisa"]))
    assert (
        "Gold, which never saw these 80 samples, is right on 62.5 % of them, and on 90.5 % of the test samples." in text
    )


SEEDS = {"adversaries": ["blind"], "unlearners": ["fisher"], "seeds": [0, 1, 2]}
HEALED, CONTROL = ("blind", "fisher", "retain+twins"), ("blind", "fisher", "retain")


def test_several_seeds_are_counted_and_paired() -> None:
    # Accuracies rise by 5 points a seed; differences of the same seed are all +0.5.
    text = told(made_results(**SEEDS, spread=5.0))
    assert "3 of 3 pass (1 case, 3 seeds)" in text
    assert "adding twins changed test accuracy by +0.5 points" in text
    assert (
        "means over seeds 0, 1, 2, paired by seed: the 95 % t interval leaves zero out in 1 of 1 case, 1 in the twins’ "
        "favour and 0 against them." in text
    )
    assert "standard error" not in text
    assert "one seed" not in text


def test_an_interval_that_holds_zero_is_called_that() -> None:
    text = told(made_results(**SEEDS, but={HEALED: {"test_accuracy": 80.0, "seeds": [1]}}))
    assert "leaves zero out in 0 of 1 case" in text
    assert "nothing here shows that the twins helped or harmed" in text
    assert "never with an interval over seeds that leaves zero out" in text


def test_failures_say_with_how_many_seeds_and_speak_of_those() -> None:
    failed = {"forget_accuracy": 78.75, "forgotten": "fail", "seeds": [1, 2]}
    text = told(made_results(**SEEDS, but={HEALED: failed}))
    assert "2 of 3 models failed:" in text
    assert "Fisher, blind (2 of 3 seeds): the healed model still answers 78.8 % of the forgotten right" in text


def test_poison_over_seeds_is_an_interval_below_zero() -> None:
    place = ("blind", "fisher", "twins")
    assert "the interval over seeds leaves zero out" in told(
        made_results(**SEEDS, but={place: {"test_accuracy": 40.0}})
    )
    assert "poison" not in told(made_results(**SEEDS, but={place: {"test_accuracy": 80.0, "seeds": [0]}}))


def test_budgets_of_one_adversary_are_told_together() -> None:
    budgets = ["Random(budget=0.05)", "Random(budget=0.3)"]
    results = made_results(
        adversaries=budgets, unlearners=["fisher"], but={(budgets[1], "fisher", "gold"): {"test_accuracy": 80.0}}
    )
    text = told(results)
    assert "random: asks for samples at random" in text
    assert text.count("asks for samples at random") == 1
    assert "80.0 % to 90.5 % (original 91.2 %) of the test samples" in text


def test_many_failures_are_not_all_explained() -> None:
    adversaries = [f"Random(budget=0.{n})" for n in range(1, 10)]
    but = {(a, u, "retain+twins"): {"forgotten": "fail"} for a in adversaries for u in ("fisher", "influence")}
    text = told(made_results(adversaries=adversaries, unlearners=["fisher", "influence"], but=but))
    assert "10 more cases: see the table of all cells." in text
    assert "and 12 more." in text


def test_a_score_is_not_called_a_share() -> None:
    text = told(made_results(shares=False, but={FISHER: {"forget_accuracy": -0.2, "forgotten": "fail"}}))
    assert "%" not in text.replace("10 % of the training data", "").replace("95 %", "")
    assert "points" not in text
    assert "accuracy" not in text
    assert "scores −0.625 (original −0.975) on them, and scores −0.905 (original −0.912) on the test samples" in text
    assert "the healed model still scores −0.200 on the forgotten where gold has −0.625: it did not forget." in text
