import subprocess
import sys
from pathlib import Path

import pytest

from unscathed import BadInputError
from unscathed.reserve import Stock


@pytest.fixture(params=["memory", "file"])
def stock(request: pytest.FixtureRequest, tmp_path: Path) -> Stock:
    return Stock(tmp_path / "stock.sqlite" if request.param == "file" else None)


def test_each_spare_goes_once_and_the_record_says_where(stock: Stock) -> None:
    stock.take(["b", "a"], "spent", "request 1", {"b": 0.5})
    stock.take(["c"], "withdrawn", "its owner")
    gone = stock.gone
    assert list(gone) == ["b", "a", "c"]
    assert (gone["b"].fate, gone["b"].request, gone["b"].distance, gone["a"].distance) == (
        "spent",
        "request 1",
        0.5,
        None,
    )
    assert gone["c"].at.endswith("+00:00")
    for again in (["d", "a"], ["c"]):
        with pytest.raises(BadInputError, match="1 spares were spent before or are gone"):
            stock.take(again, "spent", "request 2")
    with pytest.raises(BadInputError, match=r"'a' was spent .*, request 1"):
        stock.take(["a"], "withdrawn", "")
    assert list(stock.gone) == ["b", "a", "c"], "a refused request takes nothing"


def test_what_is_in_quarantine_comes_back_and_what_is_spent_does_not(stock: Stock) -> None:
    stock.take(["a", "b"], "quarantined", "a screen")
    stock.take(["c"], "spent", "request 1")
    stock.release(["a"])
    assert list(stock.gone) == ["b", "c"]
    stock.take(["a"], "spent", "request 2")
    for kept in ("c", "a", "stranger"):
        with pytest.raises(BadInputError, match="1 of them are not in quarantine"):
            stock.release([kept, "b"])
    assert stock.gone["b"].fate == "quarantined"


def test_what_is_in_quarantine_may_be_withdrawn_and_does_not_come_back(stock: Stock) -> None:
    stock.take(["a", "b"], "quarantined", "a screen")
    stock.take(["a"], "withdrawn", "its owner")
    assert (stock.gone["a"].fate, stock.gone["b"].fate) == ("withdrawn", "quarantined")
    with pytest.raises(BadInputError, match="not in quarantine"):
        stock.release(["a"])
    for fate in ("spent", "quarantined", "withdrawn"):
        with pytest.raises(BadInputError, match="were spent before or are gone"):
            stock.take(["a"], fate, "again")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="'b' was quarantined"):
        stock.take(["b"], "spent", "request 1")


def test_a_file_is_seen_by_all_and_a_record_moves_once(tmp_path: Path) -> None:
    file = tmp_path / "stock.sqlite"
    memory = Stock()
    memory.take(["a"], "spent", "request 1")
    memory.move_to(file)
    Stock(file).take(["b"], "spent", "request 2")
    assert list(memory.gone) == list(Stock(file).gone) == ["a", "b"]
    with pytest.raises(BadInputError, match="match again"):
        memory.take(["b"], "spent", "request 3")
    with pytest.raises(BadInputError, match="exists"):
        Stock().move_to(file)
    (tmp_path / "other").write_text("no database" * 100)
    with pytest.raises(BadInputError, match="cannot use this reserve's record"):
        Stock(tmp_path / "other").take(["a"], "spent", "")


SPEND = """
import sys
from pathlib import Path
from unscathed.reserve.stock import Stock
from unscathed import BadInputError
stock, name = Stock(Path(sys.argv[1])), sys.argv[2]
sys.stdin.readline()
taken = 0
for number in range(40):
    try:
        stock.take([f"spare {number}", f"other {number}"], "spent", name)
        taken += 1
    except BadInputError:
        pass
print(taken)
"""


def test_two_processes_never_spend_one_spare_twice(tmp_path: Path) -> None:
    file = tmp_path / "stock.sqlite"
    command = [sys.executable, "-c", SPEND, str(file)]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen([*command, name], stdin=pipe, stdout=pipe, text=True) for name in ("one", "two")]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    taken = [int(racer.communicate(timeout=120)[0]) for racer in racers]
    gone = Stock(file).gone
    assert sum(taken) == 40
    assert len(gone) == 80
    for number in range(40):
        assert gone[f"spare {number}"].request == gone[f"other {number}"].request


KILLED = """
import os, signal, sys
from pathlib import Path
import unscathed.reserve.stock as module
stock = module.Stock(Path(sys.argv[1]))
stock.take(["first"], "spent", "whole")
write = module._write
def half(database, entries, first):
    write(database, dict(list(entries.items())[:5]), first)
    os.kill(os.getpid(), signal.SIGKILL)
module._write = half
stock.take([str(n) for n in range(10)], "spent", "cut off")
"""


def test_a_kill_in_the_middle_spends_all_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "stock.sqlite"
    done = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False, timeout=120)
    assert done.returncode == -9
    assert list(Stock(file).gone) == ["first"]
    Stock(file).take([str(n) for n in range(10)], "spent", "again")
    assert len(Stock(file).gone) == 11
