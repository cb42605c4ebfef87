"""`unscathed audit` on digits: models of every kind, exit codes, and everything that can be wrong at once."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.support.audits import Lab, read, request, run

from unscathed import BadInputError, Samples, Trained
from unscathed.audit import Relearning
from unscathed.lab.auditing import forget_digest, weights_digest
from unscathed.lab.auditing.prepare import prepare
from unscathed.training import fit


@pytest.mark.parametrize(
    ("model", "models", "code", "outcome"),
    [
        ("original", ["gold", "original"], 1, "fail"),
        ("gold", ["gold", "original"], 0, "pass"),
        # Without gold, these checks do not see the original's memory of hard samples.
        ("gold", ["original"], 2, "not enough evidence"),
    ],
)
def test_the_exit_code_is_the_verdict(
    model: str, models: list[str], code: int, outcome: str, lab: Lab, tmp_path: Path
) -> None:
    shown = run(lab.folder / model, *lab.options(*models), "--out", tmp_path, code=code)
    assert outcome.upper() in shown
    assert "forgotten:" in shown
    record = read(tmp_path)
    assert record["outcome"] == outcome
    assert record["samples"]["forgotten"] == len(lab.ids)
    assert set(record["models"]) == {"model", *models}
    assert outcome in (tmp_path / "report.html").read_text()
    assert {"versions", "processor", "command", "commit"} <= set(record["provenance"])


def test_a_bare_state_dict_is_the_same_model(lab: Lab, original: Trained, tmp_path: Path) -> None:
    """Its weights have the same digest and its checks the same numbers; that it has no record is said."""
    run(lab.folder / "original", *lab.options("gold", "original"), "--out", tmp_path / "folder", code=1)
    run(lab.folder / "bare.safetensors", *lab.options("gold", "original"), "--out", tmp_path / "bare", code=1)
    folder, bare = read(tmp_path / "folder"), read(tmp_path / "bare")
    assert bare["verdict"] == folder["verdict"]
    digest = weights_digest(dict(original.weights))
    assert bare["models"]["model"]["digest"] == folder["models"]["model"]["digest"] == digest
    changed = {name: weight + 1e-3 for name, weight in original.weights.items()}
    assert weights_digest(changed) != digest
    assert any("no record" in said for said in bare["rests_on"])
    assert not any("no record" in said for said in folder["rests_on"])
    assert any("still names" in said for said in folder["rests_on"])


def test_ids_are_not_written(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be personal data: neither file names one, also where they stood on the command line."""
    listed = ",".join(lab.ids)
    options = ["--dataset", "digits", "--forget", listed, "--gold", str(lab.folder / "gold")]
    monkeypatch.setattr("sys.argv", ["/somewhere/unscathed", "audit", "original", f"--forget={listed}"])
    run(lab.folder / "original", *options, "--out", tmp_path, code=1)
    for file in ("verdict.json", "report.html"):
        assert not any(i in (tmp_path / file).read_text() for i in lab.ids)
    record = read(tmp_path)
    assert record["provenance"]["command"] == f"unscathed audit original --forget=({len(lab.ids)} ids)"
    assert record["forget_set"]["digest"] == forget_digest(tuple(reversed(lab.ids))) != forget_digest(lab.ids[1:])
    assert forget_digest(("ab", "c")) != forget_digest(("a", "bc"))


def test_what_is_wrong_is_named_at_once_and_before_any_work(lab: Lab, tmp_path: Path) -> None:
    shown = run(
        lab.folder / "none.safetensors", "--forget", "digit-3,digit-3,nobody", "--dataset", "digits",
        "--gold", lab.folder / "original", "--original", lab.folder, "--shadows", "3", "--recipe", '{"epoch": 3}',
        "--tolerance", "forgeting=0.1", "utility", "membership=much", "--out", lab.forget / "inside", "--test", "tset",
        code=3,
    )  # fmt: skip
    for words in (
        "MODEL: there is no", "1 ids are unknown ('nobody')", "1 ids are repeated", "it is not gold", "no record.json",
        "--shadows 3 must be an even number", "no 'epoch'; did you mean 'epochs'", "no 'forgeting'; did you mean",
        "'utility' is not name=value", "'membership=much'", "is no folder", "--test 'tset' is no import path",
    ):  # fmt: skip
        assert words in shown, f"{words!r} is not in {shown}"
    assert "12 problems" in shown


def test_a_missing_option_is_no_verdict() -> None:
    assert "forget" in run("model", code=3)


def test_a_pickle_is_refused_unread(lab: Lab, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harm",)

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Harmful()))
    shown = run(tmp_path / "model.pt", *lab.options("gold"), code=3)
    assert "is a pickle" in shown
    assert "safetensors.torch.save_file" in shown
    assert not (tmp_path / "harm").exists()


def test_weights_that_do_not_fit_are_told(lab: Lab, original: Trained, tmp_path: Path) -> None:
    name, weight = next(iter(original.weights.items()))
    cases = {
        "wrapped": {f"module.{n}": w for n, w in original.weights.items()},
        "short": {n: w for n, w in original.weights.items() if n != name},
        "shaped": {**original.weights, name: weight[:1].clone()},
        "broken": {**original.weights, name: weight * torch.nan},
    }
    words = {
        "wrapped": "save the module inside 'module'",
        "short": f"it lacks '{name}'",
        "shaped": f"{name} is [1",
        "broken": "NaN",
    }
    for case, weights in cases.items():
        save_file(weights, tmp_path / f"{case}.safetensors")
        assert words[case] in run(tmp_path / f"{case}.safetensors", *lab.options("gold"), code=3)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "short.safetensors").read_bytes()[:100])
    assert "cannot be read" in run(tmp_path / "cut.safetensors", *lab.options("gold"), code=3)


def test_shadow_models_are_kept_and_gone_on_with(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [*lab.options("gold", "original"), "--out", tmp_path, "--recipe", '{"epochs": 1}']
    trained: list[int] = []

    def counted(*arguments: Any, **named: Any) -> Trained:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(1)
        return fit(*arguments, **named)

    monkeypatch.setattr("unscathed.training.shadows.fit", counted)
    run(lab.folder / "original", *options, "--shadows", "2", code=1)
    assert len(trained) == 2
    assert "The same command goes on" in run(lab.folder / "original", *options, "--shadows", "4", code=130)
    assert len(trained) == 3
    trained[:] = [1, 1]
    shown = run(lab.folder / "original", *options, "--shadows", "4", code=1)
    assert len(trained) == 3
    assert "RMIA AUC" in shown
    assert "delete them when the audit is done" in shown
    assert (tmp_path / "shadows" / "0003" / "record.json").exists()
    record = read(tmp_path)
    assert record["settings"]["recipe"]["epochs"] == 1
    assert any("4 shadow models" in said for said in record["rests_on"])
    elsewhere = run(lab.folder / "original", *options[:-1], '{"epochs": 2}', "--shadows", "4", code=3)
    assert "another recipe" in elsewhere


def test_golds_of_several_seeds_widen_intervals(
    lab: Lab, digits: tuple[Samples, ...], original: Trained, tmp_path: Path
) -> None:
    short = replace(original.recipe, epochs=2)
    fit(original.task, digits[0].without(lab.ids), short, seed=1).save(tmp_path / "other")
    options = [*lab.options("original"), "--shadows", "2", "--recipe", '{"epochs": 1}', "--cache", tmp_path / "shadows"]
    golds = [lab.folder / "gold", tmp_path / "other"]
    run(lab.folder / "gold", *options, "--gold", golds[0], "--out", tmp_path / "one", code=0)
    run(lab.folder / "gold", *options, "--gold", *golds, "--out", tmp_path / "two", code=2)
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert set(two["models"]) == {"model", "gold", "gold 2", "original"}
    assert any("2 golds" in said for said in two["rests_on"])
    areas = [next(c for c in r["verdict"]["forgetting"] if "RMIA AUC" in c["name"]) for r in (one, two)]
    assert areas[1]["high"] - areas[1]["low"] > areas[0]["high"] - areas[0]["low"]
    both = {"gold": tuple(golds), "original": (lab.folder / "original",)}
    trained = prepare(request(lab.folder / "gold", lab, relearning=True, **both))
    (relearning,) = (measure for measure in trained.measures if isinstance(measure, Relearning))
    assert relearning.golds == trained.golds[1:]
    with pytest.raises(BadInputError, match=r"--gold 2 was trained on 129 of the forgotten"):
        prepare(request(lab.folder / "gold", lab, gold=(golds[0], lab.folder / "original")))
