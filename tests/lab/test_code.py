from pathlib import Path

import pytest

from unscathed.lab import code

BEFORE = '''"""A module."""
def area(side):
    """Of a square."""
    return side * side
'''


def digest(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return code.file_digest(folder / name)


def test_only_what_code_means_counts(tmp_path: Path) -> None:
    before = digest(tmp_path, "before.py", BEFORE)
    retold = BEFORE.replace("A module", "Another").replace("    return", "    # why\n    return")
    assert digest(tmp_path, "retold.py", retold) == before
    assert digest(tmp_path, "wrong.py", BEFORE.replace("side * side", "side + side")) != before


def test_what_only_shows_results_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "_PACKAGE", tmp_path)
    (tmp_path / "lab" / "report").mkdir(parents=True)
    digest_of_all = code.code_digest.__wrapped__
    (tmp_path / "fisher.py").write_text("x = 1")
    before = digest_of_all()
    (tmp_path / "lab" / "report" / "page.py").write_text("x = 1")
    assert digest_of_all() == before
    (tmp_path / "fisher.py").write_text("x = 2")
    assert digest_of_all() != before
