import pytest
import torch
from tests.support import blobs, ridge_trained

from unscathed import BadInputError, Retrain, Samples, Trained, fit
from unscathed.adversaries import Backdoored, CamouflagedBackdoor

Digits = tuple[Samples, Samples, Samples]


@pytest.mark.parametrize("clean_label", [False, True])
@pytest.mark.parametrize(("camouflage", "count"), [(1.0, 26), (2.5, 65), (0.001, 1)])
def test_poison_is_the_backdoors_and_camouflage_bears_the_patch_under_its_true_class(
    camouflage: float, count: int, clean_label: bool, digits: Digits
) -> None:
    samples = digits[0]
    attack = CamouflagedBackdoor(share=0.02, camouflage=camouflage, target=4, size=3, clean_label=clean_label)
    given = attack.contribute(samples)
    assert (len(given.poison), len(given.camouflage)) == (26, count)
    assert not set(given.poison) & set(given.camouflage)
    assert (given.samples.ids, given.samples.classes, given.samples.dtype) == (
        samples.ids,
        samples.classes,
        torch.uint8,
    )
    poisoned, poison = Backdoored(share=0.02, target=4, size=3, clean_label=clean_label).poison(samples)
    assert given.poison == poison, "the poison is the same with and without"
    assert same(given.samples.without(given.camouflage), poisoned.without(given.camouflage))
    before, after = samples.only(given.camouflage), given.samples.only(given.camouflage)
    assert torch.equal(after.targets, before.targets)
    assert (after.targets != 4).all()
    assert (after.inputs[..., -3:, -3:] == 255).all()
    assert torch.equal(after.inputs, attack.trigger(before).inputs)
    honest = [i for i in samples.ids if i not in {*given.poison, *given.camouflage}]
    assert same(given.samples.only(honest), samples.only(honest))
    again = attack.contribute(samples)
    assert (again.poison, again.camouflage) == (given.poison, given.camouflage)


def test_a_backdoor_sleeps_until_its_camouflage_is_deleted(digits: Digits, original: Trained) -> None:
    samples, _, test = digits
    attack = CamouflagedBackdoor(share=0.02, camouflage=4.0)
    given = attack.contribute(samples)
    asleep = fit(original.task, given.samples, original.recipe, seed=0)
    awake = Retrain().unlearn(asleep, given.samples, given.camouflage)
    assert attack.success(asleep, test) < 0.35
    assert attack.success(awake, test) > 0.8
    assert min(asleep.score(test), awake.score(test)) > original.score(test) - 0.03, "and nothing else shows"


def test_plain_vectors_can_be_camouflaged_too() -> None:
    given = CamouflagedBackdoor(share=0.1, size=1, value=9.0).contribute(blobs(60))
    assert (given.samples.only([*given.poison, *given.camouflage]).inputs[:, -1] == 9.0).all()
    assert (given.samples.only(given.poison).targets == 0).all()
    assert (given.samples.only(given.camouflage).targets != 0).all()


def test_what_cannot_be_camouflaged() -> None:
    with pytest.raises(BadInputError, match=r"(?s)size=0 .*camouflage=0"):
        CamouflagedBackdoor(size=0, camouflage=0.0)
    with pytest.raises(BadInputError, match=r"camouflage=9\.0 for 6 of poison is 54, and 34 fit"):
        CamouflagedBackdoor(share=0.1, camouflage=9.0).contribute(blobs(60))
    with pytest.raises(BadInputError, match="not classes"):
        CamouflagedBackdoor().contribute(ridge_trained()[1])


def same(some: Samples, others: Samples) -> bool:
    return torch.equal(some.inputs, others.inputs) and torch.equal(some.targets, others.targets)
