"""What a person types: check, run, cache."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from unscathed import BadInputError
from unscathed.cli import app
from unscathed.lab.running import size

FILE = """
dataset = "digits"
recipe = { epochs = 1 }
adversary = "Random"
unlearner = ["Retrain", "Fisher"]
"""


def call(*arguments: object, code: int = 0) -> str:
    ran = CliRunner().invoke(app, ["lab", *map(str, arguments)])
    assert ran.exit_code == code, ran.output
    return " ".join(ran.output.split())


def test_check_run_run_again_cache_and_clean(tmp_path: Path) -> None:
    file, out, cache = tmp_path / "grid.toml", tmp_path / "grid", ["--cache", tmp_path / "cache"]
    file.write_text(FILE)
    checked = call("check", file, *cache)
    assert "4 cells, seeds 0" in checked
    assert "measurements 8 0" in checked
    assert "shared: original 1 0" in checked
    assert "with 1 worker on this machine" in checked
    assert "8 made now, 0 there before" in call("run", file, *cache)
    assert len(list((out / "measurements").iterdir())) == 8, "results lie beside the file, under its name"
    assert "0 made now, 8 there before" in call("run", file, *cache)
    assert "Everything is there." in call("check", file, *cache)
    shown = call("cache", *cache)
    assert all(kind in shown for kind in ("original", "gold", "forget-set", "unlearned"))
    assert "Removed 1 piece " in call("cache", *cache, "--clean", "--kind", "gold")
    assert "gold" not in call("cache", *cache)
    assert "Removed 0 pieces" in call("cache", *cache, "--clean", "--unused", 1)
    call("cache", *cache, "--clean")
    assert "It is empty." in call("cache", *cache)
    assert "0 made now" in call("run", file, *cache), "results need no cache"


def test_the_demo_is_a_built_in_experiment(tmp_path: Path) -> None:
    assert "48 cells" in call("check", "demo", "--no-pilot", "--cache", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere.toml"], "cannot be read"),
        (["run", "grid.toml", "--address", "here:1"], "add --executor ray"),
        (["cache", "--kind", "gold"], "add --clean"),
        (["cache", "--kind", "silver", "--clean"], "it holds no 'silver'"),
        (["run", "grid.toml", "--limit", "much"], "'much' is none"),
    ],
)
def test_mistakes(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(FILE)
    assert words in call(*arguments, code=2)


def test_sizes_as_people_write_them() -> None:
    assert [size(t) for t in ("12", "500M", "1.5 g", "2TB", "3KiB")] == [12, 500 * 2**20, 3 * 2**29, 2**41, 3072]
    for wrong in ("", "G", "1.2.3G"):
        with pytest.raises(BadInputError):
            size(wrong)
