from dataclasses import replace

from tests.support import blobs, tiny_task, trained_by_hand

from unscathed.audit import Case, Relearning, Tolerance


def test_a_case_does_things_once_and_a_changed_one_does_them_anew() -> None:
    samples = blobs()
    case = Case(task=tiny_task(), forgotten=samples, unseen=samples)
    done: list[int] = []
    for key in (Relearning(), Relearning(), Relearning(seed=1)):
        assert case.once((key, "steps"), lambda: done.append(1) or len(done)) in (1, 2)
    assert len(done) == 2
    replace(case, test=samples).once((Relearning(), "steps"), lambda: done.append(1))
    assert len(done) == 3


def test_utility_is_compared_with_gold_before_the_original() -> None:
    samples = blobs()
    case = Case(task=tiny_task(), forgotten=samples, unseen=samples)
    original, gold = (trained_by_hand(case.task, samples) for _ in range(2))
    assert case.whole is None
    assert replace(case, original=original).whole is original
    assert replace(case, original=original, gold=gold).whole is gold


def test_tolerances_are_in_the_tasks_units() -> None:
    task = tiny_task()
    task.score_range = 4.0
    tolerance = Tolerance(utility=0.1, worst_class=0.1, loss=0.1, relearning=0.1)
    found = Case(task=task, forgotten=blobs(), unseen=blobs(), tolerance=tolerance).tolerated
    assert (found.utility, found.worst_class, found.loss, found.relearning) == (0.4, 0.4, 0.1, 0.1)
    assert Case(task=task, forgotten=blobs(), unseen=blobs()).tolerated.worst_class is None
