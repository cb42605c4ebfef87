import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.experiments import store, tiny

from unscathed.lab.board import Board
from unscathed.lab.runner import run


@pytest.fixture
def drawn(tmp_path: Path) -> str:
    page = io.StringIO()
    with Board(Console(file=page, force_terminal=True, width=120)) as board:
        run(tiny(adversary="Random"), tmp_path / "r", store=store(tmp_path), watcher=board, callbacks=[board.steps])
        assert board.seconds_left == 0
    return page.getvalue()


def test_a_terminal_sees_how_far_it_is_and_what_runs(drawn: str) -> None:
    assert "of 20 jobs" in drawn
    assert "about 0:00:00 left" in drawn


def test_elsewhere_lines_are_few_and_the_last_job_has_one(tmp_path: Path) -> None:
    page = io.StringIO()
    with Board(Console(file=page, width=120)) as board:
        outcome = run(tiny(adversary="Random"), tmp_path / "r", store=store(tmp_path), watcher=board)
    lines = page.getvalue().splitlines()
    assert "20/20" in lines[-1]
    assert len(lines) <= 2 + outcome.seconds, "a line a second at most, besides jobs that took longer"
