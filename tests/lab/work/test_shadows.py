from pathlib import Path

import torch
from tests.support import one_thread
from tests.support.experiments import store, tiny

from unscathed import fit_shadows
from unscathed.executors import Local
from unscathed.lab.work import Bench, Open, shadows_of


def test_shadows_are_trained_once_and_found_again(tmp_path: Path) -> None:
    setting = tiny().cells[0].setting
    kept = store(tmp_path)
    with Local(2, threads=1) as executor:
        made = shadows_of(setting, 2, kept, executor)
    folders = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache" / "shadow").iterdir()}
    more = shadows_of(setting, 4, kept)
    now = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache" / "shadow").iterdir()}
    assert (len(folders), len(now)) == (2, 4)
    assert folders.items() <= now.items(), "the first two were found"
    opened = Bench(kept).obtain(Open(setting))
    with one_thread():
        bare = fit_shadows(opened.task, opened.samples, opened.recipe, 2, seed=setting.seeds.training)
    assert torch.equal(bare.inside, made.inside)
    assert torch.equal(more.inside[:2], made.inside)
    for one, other in zip(bare.models, made.models, strict=True):
        assert all(torch.equal(other.weights[name], weight) for name, weight in one.weights.items())
