"""The lab's promises: the same numbers as bare calls, on any executor, whatever goes wrong."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.support import one_thread
from tests.support.experiments import read, store, tiny

import unscathed as us
from unscathed import BadInputError
from unscathed.executors import InProcess, Local, Ray
from unscathed.lab.runner import DiskFullError, Outcome, Watcher, run
from unscathed.lab.seeds import Seeds
from unscathed.lab.work import Bench, Original

SHARED = {
    "data": 1,
    "original": 2,
    "forget-set": 2,
    "gold": 2,
    "scores": 1,
    "features": 1,
    "twins": 2,
    "unlearned": 4,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(tiny(), folder / "results", store=store(folder))


def test_shared_work_is_done_once_and_everything_is_measured(finished: tuple[Path, Outcome]) -> None:
    folder, outcome = finished
    # For each of 2 adversaries: 2 originals (one is Sisa's), gold, 3 unlearned, 3 x 2 healed.
    assert (outcome.measured, outcome.there, outcome.failures) == (2 * (2 + 1 + 3 + 6), 0, {})
    assert outcome.computed == SHARED
    frame = read(folder / "results")
    assert len(frame.drop_duplicates(["adversary", "unlearner", "healer", "stage"])) == 24
    assert set(frame[frame.stage == "gold"].unlearner.dropna()) == set()
    assert frame.commit.iloc[0] or not (Path(us.__file__).parent.parent.parent / ".git").exists()
    assert json.loads(frame.versions.iloc[0])["torch"]


def test_it_measures_what_bare_calls_give(finished: tuple[Path, Outcome]) -> None:
    folder, _ = finished
    seeds, data = Seeds.of(0), us.datasets.digits()
    samples, spares = data.samples.split(reserve=0.1, seed=seeds.split)
    task = us.ClassificationTask(us.models.DigitNet, 10)
    original = us.fit(task, samples, us.Recipe(epochs=2, batch_size=64), seed=seeds.training)
    forget = us.adversaries.OutputAware(0.05).choose(us.OutputView(original, samples))
    unlearned = us.Influence().unlearn(original, samples, forget, seed=seeds.unlearner)
    twins = us.SpareSet(spares, shortfall="partial").match(samples.only(forget), original)
    healed = us.Healer().heal(unlearned, retain=samples.without(forget), twins=twins.samples, seed=seeds.healing)
    forgotten = samples.only(forget)
    frame = read(folder / "results")
    mine = frame[(frame.adversary == "OutputAware") & (frame.unlearner == "Influence")]

    def value(stage: str, measure: str, healer: str | None = None) -> float:
        row = mine[(mine.stage == stage) & (mine.measure == measure)]
        row = row if healer is None else row[row.healer == healer]
        return float(row.value.item())

    assert value("unlearned", "test_accuracy") == pytest.approx(100 * unlearned.score(data.test), abs=1e-4)
    assert value("healed", "test_accuracy", "Healer") == pytest.approx(100 * healed.score(data.test), abs=1e-4)
    assert value("healed", "twins", "Healer") == len(twins)
    assert value("healed", "forget_accuracy", "Healer") == pytest.approx(100 * healed.score(forgotten), abs=1e-4)
    verdict = us.audit(
        healed, forgotten=forgotten, test=data.test, original=original,
        gold=us.Retrain().unlearn(original, samples, forget),
    )  # fmt: skip
    row = mine[(mine.stage == "healed") & (mine.measure == "whole") & (mine.healer == "Healer")]
    assert row.outcome.item() == verdict.whole


def test_shards_are_audited_against_their_own_retraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def spy(model: us.Trained, **references: Any) -> Any:
        seen[bool(model.shards)] = references["same_procedure"]
        return us.audit(model, **references)

    monkeypatch.setattr("unscathed.lab.work.measurement.audit", spy)
    unlearners = [{"Sisa": {"shards": 2}}, "Influence"]
    run(tiny(adversary="Random", unlearner=unlearners, healer=[]), tmp_path / "r", store=store(tmp_path))
    assert seen[False] is None
    assert seen[True].history[-1].kind == "unlearned"
    assert seen[True].shards


def test_a_method_that_trains_its_own_way_is_audited_against_that_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(model: us.Trained, **references: Any) -> Any:
        seen.append((model, references["original"], references["same_procedure"]))
        return us.audit(model, **references)

    monkeypatch.setattr("unscathed.lab.work.measurement.audit", spy)
    data = {"features": {"dataset": "digits", "encoder": "tests.support.experiments:pixels"}}
    run(
        tiny(dataset=data, adversary="Random", unlearner="CertifiedRemoval", healer=[]),
        tmp_path / "r",
        store=store(tmp_path),
    )
    model, original, again = seen[-1]
    assert [e.by.startswith("CertifiedRemoval(") for e in model.history] == [True, True]
    assert original.history == model.history[:1]
    assert again.history[0].by == original.history[0].by
    assert set(again.ids) == set(model.ids)
    same = us.CertifiedRemoval.account(again).last.settings
    assert same == us.CertifiedRemoval.account(model).last.settings


def test_a_finished_grid_is_found_finished(finished: tuple[Path, Outcome]) -> None:
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (folder / "results" / "measurements").iterdir()}
    outcome = run(tiny(), folder / "results", store=store(folder))
    assert (outcome.measured, outcome.there, outcome.computed) == (0, 24, {})
    assert {p: p.stat().st_mtime_ns for p in (folder / "results" / "measurements").iterdir()} == before


def test_results_in_another_folder_find_the_shared_work(finished: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, _ = finished
    outcome = run(tiny(adversary="OutputAware", unlearner="Influence"), tmp_path, store=store(folder))
    assert outcome.measured == 5
    assert outcome.computed == {}


def test_another_adversary_leaves_the_original_as_it_was(tmp_path: Path) -> None:
    """Its weights are made anew in a cache of their own, and must come out bit-identical."""
    weights = []
    for name, adversary in (("a", "Random"), ("b", "OneClass")):
        run(tiny(adversary=adversary, unlearner="Retrain", healer=[]), tmp_path / name, store=store(tmp_path / name))
        (folder,) = (tmp_path / name / "cache" / "original").iterdir()
        weights.append((folder.name, sorted(p.name for p in folder.glob("*.safetensors"))))
    assert weights[0] == weights[1], "keys, and weight files named by their content"


@pytest.fixture(params=["local", "ray"])
def workers(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "ray":
        pytest.importorskip("ray")
    executor = Local(2, threads=1) if request.param == "local" else Ray(2, threads=1)
    yield executor
    executor.shutdown(cancel_futures=True)


def test_all_executors_give_the_same_rows(workers: Any, tmp_path: Path) -> None:
    experiment = tiny(adversary="OutputAware", seeds=2)
    with one_thread():
        run(experiment, tmp_path / "one", store=store(tmp_path / "one"), executor=InProcess())
    outcome = run(experiment, tmp_path / "two", store=store(tmp_path / "two"), executor=workers)
    assert outcome.failures == {}
    assert outcome.computed["original"] == 4
    pd.testing.assert_frame_equal(read(tmp_path / "one"), read(tmp_path / "two"), check_exact=True)


OWN = """
import os, signal
from unscathed import Influence
class Fails(Influence):
    def _unlearn(self, *arguments):
        raise RuntimeError("it went wrong\\nin two lines")
class Kills(Influence):
    def _unlearn(self, *arguments):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def with_own(folder: Path, unlearners: str, module: str = "own_unlearners") -> us.lab.experiment.Experiment:
    (folder / f"{module}.py").write_text(OWN)
    (folder / "own.toml").write_text(
        f'dataset = "digits"\nadversary = "Random"\nrecipe = {{ epochs = 1 }}\nunlearner = {unlearners}\n'
    )
    return us.lab.experiment.Experiment.from_file(folder / "own.toml")


def test_a_cell_that_fails_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    experiment = with_own(tmp_path, '["own_unlearners:Fails", "Influence"]')
    outcome = run(experiment, tmp_path / "r", store=store(tmp_path))
    assert [str(job) for job in outcome.failures] == ["unlearning with Fails for Random on digits, seed 0"]
    assert outcome.measured == 2 + 1 + 2
    failures = [json.loads(p.read_text()) for p in (tmp_path / "r" / "failures").glob("*.json")]
    assert {f["cell"]["stage"] for f in failures} == {"unlearned", "healed"}
    assert {f["error"] for f in failures} == {"RuntimeError: it went wrong"}
    assert all("own_unlearners.py" in f["traceback"] for f in failures)
    # Mended, it is tried again, and its failures are forgotten.
    (tmp_path / "own_unlearners.py").write_text("from unscathed import Influence as Fails\n")
    del sys.modules["own_unlearners"]
    us.lab.components._find.cache_clear()
    us.lab.code.file_digest.cache_clear()
    us.lab.work.base._key.cache_clear()
    outcome = run(with_mended(tmp_path), tmp_path / "r", store=store(tmp_path))
    assert (outcome.measured, outcome.failures) == (3, {})
    assert not list((tmp_path / "r" / "failures").iterdir())


def with_mended(folder: Path) -> us.lab.experiment.Experiment:
    return us.lab.experiment.Experiment.from_file(folder / "own.toml")


def test_a_worker_that_is_killed_costs_its_own_cell_only(tmp_path: Path) -> None:
    experiment = with_own(tmp_path, '["own_killers:Kills", "Influence", "Retrain"]', "own_killers")
    with Local(2, threads=1) as executor:
        outcome = run(experiment, tmp_path / "r", store=store(tmp_path), executor=executor)
    assert [str(job) for job in outcome.failures] == ["unlearning with Kills for Random on digits, seed 0"]
    assert "its worker died" in next(iter(outcome.failures.values())).error
    assert outcome.measured == 2 + 2 * 3


def start(folder: Path, *, file: str = "grid.toml", before: str = "") -> subprocess.Popen[str]:
    # What starts in the background inherits that interrupts are ignored.
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heard}\n{before}\nfrom unscathed.cli import app\napp()"
    arguments = ["lab", "run", str(folder / file), "--out", str(folder / "r"), "--cache", str(folder / "cache")]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


GRID = """
dataset = "digits"
recipe = { epochs = 3 }
seeds = 2
adversary = "Random"
unlearner = ["Retrain", "Influence", { Sisa = { shards = 2 } }]
"""


UNHURRIED = """
import time, unscathed.lab.work.measurement as measurement
audit = measurement.audit
measurement.audit = lambda *models, **references: (time.sleep(0.5), audit(*models, **references))[1]
"""
"""On a busy machine a run must not be over before this process has looked."""


def journal(folder: Path) -> Counter[str]:
    lines = (folder / "r" / "journal.jsonl").read_text().splitlines()
    return Counter(entry["key"] for line in lines if not (entry := json.loads(line)).get("error"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "grid.toml").write_text(GRID)
    process = start(folder)
    assert process.wait(120) == 0, process.stdout.read() if process.stdout else ""
    return read(folder / "r")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_killed_goes_on_where_it_was(how: int, uninterrupted: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    process = start(tmp_path, before=UNHURRIED)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "r" / "measurements").glob("*.parquet"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(how)
    process.wait(60)
    made = len(list((tmp_path / "r" / "measurements").glob("*.parquet")))
    assert 4 <= made < 24, "it was killed in the middle"
    assert start(tmp_path).wait(120) == 0
    pd.testing.assert_frame_equal(read(tmp_path / "r"), uninterrupted, check_exact=True)
    # A kill may fall between a result and the line about it, so at most what was under way is there twice.
    assert sum(journal(tmp_path).values()) <= len(journal(tmp_path)) + 1


def test_two_runs_in_one_folder_double_nothing(uninterrupted: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    runs = [start(tmp_path), start(tmp_path)]
    assert [process.wait(180) for process in runs] == [0, 0]
    pd.testing.assert_frame_equal(read(tmp_path / "r"), uninterrupted, check_exact=True)
    kinds = Counter(
        (e["kind"], e["key"]) for e in map(json.loads, (tmp_path / "r" / "journal.jsonl").read_text().splitlines())
    )
    assert all(count == 1 for count in kinds.values()), "neither shared work nor measurements are done twice"
    assert Counter(kind for kind, _ in kinds)["measurement"] == 24


def test_a_full_disk_ends_the_run_and_loses_nothing(uninterrupted: pd.DataFrame, tmp_path: Path) -> None:
    """No file may grow beyond 40 kB: the data set fits nowhere, as on a full disk."""
    (tmp_path / "grid.toml").write_text(GRID)
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))"
    process = start(tmp_path, before=limit)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert "the disk is full" in " ".join(output.split())
    assert start(tmp_path).wait(120) == 0
    pd.testing.assert_frame_equal(read(tmp_path / "r"), uninterrupted, check_exact=True)


def test_a_damaged_piece_of_work_is_made_again(tmp_path: Path) -> None:
    experiment = tiny(adversary="OutputAware", unlearner="Influence", healer=[])
    run(experiment, tmp_path / "a", store=store(tmp_path))
    for kind in ("original", "data"):
        for path in (tmp_path / "cache" / kind).glob("*/*.safetensors"):
            path.write_bytes(path.read_bytes()[:100])
    from unscathed.lab.runner import _bench

    _bench.cache_clear()
    with pytest.warns(UserWarning, match="is damaged and is made again"):
        run(experiment, tmp_path / "b", store=store(tmp_path))
    pd.testing.assert_frame_equal(read(tmp_path / "a"), read(tmp_path / "b"), check_exact=True)


def test_data_that_is_gone_is_no_damage_to_models(tmp_path: Path) -> None:
    """What fails while a cached model is read may be the data it needs: then nothing is thrown away."""
    rows = pd.DataFrame({"x": range(200), "y": [i % 2 for i in range(200)]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    csv = {"csv": {"path": str(tmp_path / "rows.csv"), "target": "y"}}
    work = Original(tiny(dataset=csv, adversary="Random").cells[0].setting)
    Bench(store(tmp_path)).obtain(work)
    shutil.rmtree(tmp_path / "cache" / "data")
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(BadInputError, match="no such file"):
        Bench(store(tmp_path)).obtain(work)
    assert list((tmp_path / "cache" / "original").iterdir())


def test_a_mistake_leaves_no_folder_behind(tmp_path: Path) -> None:
    for experiment, folder in (
        (tiny(model="ColourNet"), tmp_path / "new" / "r"),
        (tiny(dataset={"mnist": {"path": "nowhere"}}), tmp_path / "new"),
    ):
        with pytest.raises(BadInputError):
            run(experiment, folder, store=store(tmp_path))
    assert not (tmp_path / "new").exists()


def test_a_disk_that_is_full_for_results_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unscathed.lab.runner._append", full)
    with pytest.raises(DiskFullError, match="make room, and run the same command again"):
        run(tiny(), tmp_path / "r", store=store(tmp_path))


def test_what_another_version_measured_is_kept_or_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny(adversary="Random", unlearner="Influence", healer=[])
    run(experiment, tmp_path / "r", store=store(tmp_path))
    monkeypatch.setattr("unscathed.lab.plan.code_digest", lambda: "another")
    assert run(experiment, tmp_path / "r", store=store(tmp_path)).there == 3
    assert run(experiment, tmp_path / "r", store=store(tmp_path), update=True).measured == 3
    assert len(list((tmp_path / "r" / "measurements").iterdir())) == 3


def test_models_that_do_not_suit_the_data_are_named_before_any_work(tmp_path: Path) -> None:
    class Seen(Watcher):
        def on_plan(self, *arguments: object) -> None:
            raise AssertionError("no work may start")

    experiment = tiny(
        grid=[{"model": "ColourNet"}, {"model": "torch.nn:Linear"}, {"dataset": {"mnist": {"path": "no"}}}]
    )
    with pytest.raises(BadInputError) as caught:
        run(experiment, tmp_path / "r", store=store(tmp_path), watcher=Seen())
    assert len(caught.value.problems) == 3
    assert "the model cannot run on inputs (1, 8, 8)" in str(caught.value)
    assert "'in_features' and 'out_features'" in str(caught.value)
    assert "no folder no" in str(caught.value)


def test_results_are_read_in_one_line(finished: tuple[Path, Outcome]) -> None:
    import duckdb
    import polars

    files = f"{finished[0]}/results/measurements/*.parquet"
    rows = len(read(finished[0] / "results"))
    assert len(polars.read_parquet(files)) == rows
    assert len(duckdb.sql(f"from '{files}'").fetchall()) == rows
