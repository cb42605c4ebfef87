"""`unscathed audit` of a way of unlearning: several models, several golds, several originals, several attacks."""

from pathlib import Path

import pytest
from tests.support.audits import Lab, read, request, run

from unscathed import BadInputError, Retrain, Samples, Trained
from unscathed.lab.auditing.prepare import prepare
from unscathed.training import fit


@pytest.fixture(scope="module")
def many(lab: Lab, original: Trained, digits: tuple[Samples, Samples, Samples]) -> Lab:
    """Golds 1 … 6 and another original beside those that are there."""
    samples = digits[0]
    other = fit(original.task, samples, original.recipe, seed=1)
    other.save(lab.folder / "original-1")
    for seed in range(1, 7):
        Retrain().unlearn(original, samples, lab.ids, seed=100 + seed).save(lab.folder / f"gold-{seed}")
    return lab


def options(lab: Lab, **models: list[str]) -> list[str]:
    named = [(f"--{kind}", str(lab.folder / name)) for kind, names in models.items() for name in names]
    return ["--dataset", "digits", "--forget", str(lab.forget), *(part for pair in named for part in pair)]


GOLDS = ["gold", "gold-1", "gold-2", "gold-3"]


def test_margins_over_several_models_are_compared_with_several_golds(many: Lab, tmp_path: Path) -> None:
    """Golds of further seeds are like gold; originals are not, and fail."""
    asked = options(many, gold=GOLDS, original=["original", "original-1"])
    # Of so few samples, the score alone leaves it open (code 2).
    run(many.folder / "gold-5", *asked, "--like", many.folder / "gold-6", "--out", tmp_path / "gold", code=2)
    run(many.folder / "original", *asked, "--like", many.folder / "original-1", "--out", tmp_path / "original", code=1)
    checks = {
        name: next(c for c in read(tmp_path / name)["verdict"]["forgetting"] if c["name"] == "KLOM on the forgotten")
        for name in ("gold", "original")
    }
    assert checks["gold"]["outcome"] != "fail"
    assert checks["original"]["outcome"] == "fail"
    assert checks["original"]["value"] > 2 * checks["gold"]["value"]
    record = read(tmp_path / "gold")
    assert set(record["models"]) == {"model", "gold", "gold 2", "gold 3", "gold 4", "original", "original 2", "like"}
    assert any("made the same way" in said for said in record["rests_on"])
    assert "made the same way" in (tmp_path / "gold" / "report.html").read_text()


def test_both_attacks_are_asked_of_the_same_shadow_models(many: Lab, tmp_path: Path) -> None:
    asked = options(many, gold=["gold"], original=["original"])
    run(
        many.folder / "original",
        *asked,
        "--shadows",
        "2",
        "--attack",
        "lira",
        "--attack",
        "rmia",
        "--out",
        tmp_path,
        code=1,
    )
    record = read(tmp_path)
    names = [check["name"] for check in record["verdict"]["forgetting"]]
    assert {"offline LiRA AUC", "offline RMIA AUC"} <= set(names)
    assert record["settings"]["attacks"] == ["lira", "rmia"]
    assert len(list((tmp_path / "shadows").glob("0*"))) == 2


def test_what_many_models_lack_is_named(many: Lab) -> None:
    with pytest.raises(BadInputError) as caught:
        prepare(
            request(
                many.folder / "gold-5",
                many,
                gold=(many.folder / "gold",),
                original=(many.folder / "original",),
                like=(many.folder / "gold-6",),
            )
        )
    said = " ".join(caught.value.problems)
    assert "at least 4 golds" in said
    assert "at least 2 originals" in said
    with pytest.raises(BadInputError, match="--attack guess: give rmia or lira"):
        prepare(request(many.folder / "gold-5", many, attack=("guess",), shadows=2))


def test_what_would_be_passed_over_in_silence_is_named(many: Lab) -> None:
    """Attacks without shadow models, originals that nothing is compared with, one model that passes for two."""
    gold, original = many.folder / "gold", many.folder / "original"
    with pytest.raises(BadInputError) as caught:
        prepare(
            request(gold, many, attack=("lira",), original=(original, many.folder / "original-1"), gold=(gold, gold))
        )
    said = " ".join(caught.value.problems)
    assert "--attack asks shadow models, and there are none" in said
    assert "several --original are for --like alone" in said
    assert "--gold names one model more than once" in said
    with pytest.raises(BadInputError, match="--like names one model more than once"):
        prepare(request(many.folder / "gold-5", many, like=(many.folder / "gold-5",)))
