import json
from pathlib import Path

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, Euclidean, Raw, Samples, SpareSet
from unscathed.reserve import saved, stock


def test_a_reserve_that_was_saved_knows_what_is_spent(tmp_path: Path) -> None:
    spares, samples = blobs(60, seed=2), blobs(30, seed=1)
    trained = trained_by_hand(tiny_task(), samples)
    reserve = SpareSet(spares, Euclidean(Raw()), partners={samples.ids[0]: spares.ids[0]})
    reserve.spend([spares.ids[5]], request="before")
    reserve.save(tmp_path / "reserve")
    twins = reserve.match(samples.only(samples.ids[:4]), trained)
    reserve.spend(twins, request="request 1")

    again = SpareSet.load(tmp_path / "reserve", Euclidean(Raw()))
    assert again.spares.ids == spares.ids
    assert torch.equal(again.spares.inputs, spares.inputs)
    assert torch.equal(again.spares.targets, spares.targets)
    assert again.partners == reserve.partners
    assert again.spent == reserve.spent == (spares.ids[5], *twins.spare_of.values())
    assert again.gone[spares.ids[5]].request == "before"
    for sample, spare in twins.spare_of.items():
        assert again.gone[spare].distance == twins.distances[sample]
    # What one holds, the other sees.
    again.spend([again.unspent.ids[0]])
    assert len(reserve) == len(again) == 54
    with pytest.raises(BadInputError, match="match again"):
        again.spend(twins)


def test_fresh_spares_are_on_disk_once_they_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = SpareSet(blobs(6, seed=2), Euclidean(Raw()))
    reserve.save(tmp_path)
    reserve.top_up(blobs(3, seed=3))
    assert SpareSet.load(tmp_path).spares.ids == reserve.spares.ids == (*blobs(6, seed=2).ids, *blobs(3, seed=3).ids)
    with pytest.raises(BadInputError, match="of the same ids"):
        reserve.top_up(blobs(3, seed=3))

    def full(path: Path, content: bytes) -> None:
        if path.name == saved.RECORD:
            raise OSError("disk full")
        path.write_bytes(content)

    monkeypatch.setattr(saved, "write_atomically", full)
    with pytest.raises(OSError, match="disk full"):
        reserve.top_up(blobs(3, seed=4))
    assert len(reserve.spares) == len(SpareSet.load(tmp_path).spares) == 9, "all of them, or none"


def test_images_and_classes_come_back(tmp_path: Path) -> None:
    spares = Samples(torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2), [1, 0], ["x", "y"], classes=["cat", "dog"])
    SpareSet(spares).save(tmp_path)
    again = SpareSet.load(tmp_path).spares
    assert again.dtype == torch.uint8
    assert torch.equal(again.inputs, spares.inputs)
    assert again.classes == ("cat", "dog")


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"reserve.json is missing or damaged"):
        SpareSet.load(tmp_path)
    reserve = SpareSet(blobs(6))
    reserve.save(tmp_path)
    with pytest.raises(BadInputError, match="2 problems"):
        reserve.save(tmp_path)
    reserve.top_up(blobs(3, seed=3))
    (tmp_path / "spares-000.safetensors").write_bytes(b"torn")
    (tmp_path / "spares-001.json").unlink()
    with pytest.raises(BadInputError, match="2 problems") as caught:
        SpareSet.load(tmp_path)
    assert "spares-000" in str(caught.value)
    assert "spares-001" in str(caught.value)
    (tmp_path / saved.STOCK).unlink()
    with pytest.raises(BadInputError, match="what was spent is not known"):
        SpareSet.load(tmp_path)
    record = json.loads((tmp_path / saved.RECORD).read_text())
    (tmp_path / saved.RECORD).write_text(json.dumps({**record, "format": 9, "parts": []}))
    with pytest.raises(BadInputError, match="3 problems"):
        SpareSet.load(tmp_path)


def test_where_saving_is_cut_off_the_reserve_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = SpareSet(blobs(6, seed=2))
    reserve.spend(reserve.spares.ids[:2], request="before")

    def full(path: Path, content: bytes) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(saved, "write_atomically", full)
        with pytest.raises(OSError, match="disk full"):
            reserve.save(tmp_path / "one")
    with monkeypatch.context() as patched:
        patched.setattr(stock, "_write", lambda *_: full(Path(), b""))
        with pytest.raises(OSError, match="disk full"):
            reserve.save(tmp_path / "other")
    with pytest.raises(BadInputError, match="what was spent is not known"):
        SpareSet.load(tmp_path / "other")
    assert (reserve.folder, reserve.stock.file, len(reserve)) == (None, None, 4)
    reserve.spend([reserve.unspent.ids[0]])
    reserve.save(tmp_path / "third")
    assert len(SpareSet.load(tmp_path / "third")) == 3


def test_what_another_process_added_and_spent_does_not_matter_here(tmp_path: Path) -> None:
    ours = SpareSet(blobs(6, seed=2), Euclidean(Raw()))
    ours.save(tmp_path)
    other = SpareSet.load(tmp_path)
    other.top_up(blobs(3, seed=3))
    other.spend([other.spares.ids[-1], other.spares.ids[0]])
    assert (len(ours), len(other)) == (5, 7)
    assert ours.unspent.ids == ours.spares.ids[1:]
    samples = blobs(3, seed=1)
    assert len(ours.match(samples, trained_by_hand(tiny_task(), samples))) == 3
