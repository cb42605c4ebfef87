"""Ids, recipes and tolerances, as people write them."""

from pathlib import Path

import pytest

from unscathed.lab.auditing import AuditRequest
from unscathed.lab.auditing.reading import read_ids, read_recipe, read_tolerance
from unscathed.problems import Problems


def test_ids_are_read_from_lists_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids").write_text("a,b\n  c#2 \n\n")
    problems = Problems("cannot read")

    def ids(text: str) -> tuple[str, ...]:
        return read_ids(AuditRequest(model=Path("model"), forget=text, out=Path("out")), problems)

    assert ids("ids") == ids("@ids") == ("a,b", "c#2")
    assert ids("a, b,,c") == ("a", "b", "c")
    assert len(ids(",".join(map(str, range(1000))))) == 1000
    problems.raise_any()
    assert ids("@none") == ids(",") == ()
    assert len(problems.found) == 2


def test_recipes_and_tolerances_are_read(tmp_path: Path) -> None:
    problems = Problems("cannot read")
    (tmp_path / "recipe.json").write_text('{"epochs": 3, "augment": [{"name": "Flip"}]}')
    recipe = read_recipe(str(tmp_path / "recipe.json"), problems)
    assert recipe is not None
    assert (recipe.epochs, len(recipe.augment)) == (3, 1)
    assert read_tolerance(("forgetting=0.1", "worst_class=0.2"), problems).worst_class == 0.2
    problems.raise_any()
    for text in ("{", "[1]", '{"optimizer": "best"}', '{"augment": [{"name": "Blur"}]}', "no/such/file"):
        assert read_recipe(text, problems) is None
    assert len(problems.found) == 5
    read_tolerance(("utility=-1", "utility=nan"), problems)
    assert len(problems.found) == 7
