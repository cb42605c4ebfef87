from typing import Any

import pytest
import torch
from tests.support import Ridge, blobs, ridge_trained, tiny_task, trained_by_hand
from torch import Tensor

from unscathed import BadInputError, Cosine, Euclidean, Raw, Samples, SpareSet, Trained, fit
from unscathed.adversaries import Backdoored, Hubs, Mislabelled, NearDuplicates, Poisoning
from unscathed.adversaries.poisoning import _covering

Digits = tuple[Samples, Samples, Samples]
ATTACKS: list[Poisoning] = [
    Mislabelled(), Mislabelled(target=3), Backdoored(), Backdoored(clean_label=True), NearDuplicates(),
    Hubs(similarity=Euclidean(Raw()), tries=64),
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_a_share_is_replaced_and_all_else_stays(attack: Poisoning, digits: Digits, original: Trained) -> None:
    retain, spares, _ = digits
    poisoned, ids = attack.poison(spares, trained=original, owned=retain)
    assert len(ids) == round(0.05 * len(spares)) == 7
    assert poisoned.ids == spares.ids, "ids give nothing away"
    assert poisoned.classes == spares.classes
    assert poisoned.dtype == torch.uint8
    honest = spares.without(ids)
    assert torch.equal(poisoned.only(honest.ids).inputs, honest.inputs)
    assert torch.equal(poisoned.only(honest.ids).targets, honest.targets)
    before, after = spares.only(ids), poisoned.only(ids)
    changed = (before.inputs != after.inputs).flatten(1).any(1) | (before.targets != after.targets)
    assert changed.all()
    again, same = attack.poison(spares, trained=original, owned=retain)
    assert same == ids
    assert torch.equal(again.inputs, poisoned.inputs)
    other = type(attack)(**{**vars(attack), "seed": 1}).poison(spares, trained=original, owned=retain)[1]
    assert other != ids


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_plain_vectors_can_be_poisoned_too(attack: Poisoning) -> None:
    spares, owned = blobs(60, seed=1), blobs(30, seed=2)
    moved = Samples(spares.inputs, spares.targets + (spares.targets == 2))  # classes 0, 1 and 3: none is number 2
    trained = trained_by_hand(tiny_task(), spares)
    poisoned, ids = attack.poison(moved, trained=trained, owned=Samples(owned.inputs, moved.targets[:30]))
    assert len(ids) == 3
    assert poisoned.dtype == torch.float32
    assert set(poisoned.targets.tolist()) <= {0, 1, 3}


def test_labels_are_moved_to_other_classes_or_to_one(digits: Digits) -> None:
    _, spares, _ = digits
    poisoned, ids = Mislabelled(share=0.2).poison(spares)
    before, after = spares.only(ids), poisoned.only(ids)
    assert (before.targets != after.targets).all()
    assert len(set(after.targets.tolist())) > 3
    assert torch.equal(before.inputs, after.inputs)
    poisoned, ids = Mislabelled(share=0.2, target=7).poison(spares)
    assert (spares.only(ids).targets != 7).all()
    assert (poisoned.only(ids).targets == 7).all()


@pytest.mark.parametrize("clean_label", [False, True])
def test_the_trigger_is_there_and_under_the_target_class(clean_label: bool, digits: Digits) -> None:
    _, spares, _ = digits
    attack = Backdoored(target=4, size=3, clean_label=clean_label)
    poisoned, ids = attack.poison(spares)
    after = poisoned.only(ids)
    assert (after.targets == 4).all()
    assert ((spares.only(ids).targets == 4) == clean_label).all()
    assert (after.inputs[..., -3:, -3:] == 255).all()
    assert torch.equal(after.inputs[..., :-3, :], spares.only(ids).inputs[..., :-3, :])
    assert torch.equal(after.inputs, attack.trigger(spares.only(ids)).inputs)
    vectors = Backdoored(size=2, value=9.0).trigger(blobs(6))
    assert (vectors.inputs[:, -2:] == 9.0).all()
    assert torch.equal(vectors.inputs[:, 0], blobs(6).inputs[:, 0])


def test_success_is_the_share_of_others_that_the_patch_turns() -> None:
    """A model whose only weight reads the patched value: class 0 where it is above 4."""
    test = Samples(torch.tensor([[0.0, 0.0], [0.0, 5.0], [3.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1, 1, 2]))
    task = tiny_task()
    trained = trained_by_hand(task, test, weights={})
    trained.__dict__["outputs"] = lambda samples: torch.stack(
        [samples.inputs[:, 1], torch.full((len(samples),), 4.0), samples.inputs[:, 0] * 9], dim=1
    )
    assert Backdoored(size=1, value=9.0).success(trained, test) == pytest.approx(2 / 3), "one of three looks elsewhere"
    assert Backdoored(size=1, value=1.0).success(trained, test) == 0.0


def test_a_model_that_learns_the_patch_obeys_it(digits: Digits, original: Trained) -> None:
    retain, _, test = digits
    attack = Backdoored(share=0.05, target=4)
    poisoned, _ = attack.poison(retain)
    taught = fit(original.task, poisoned, original.recipe, seed=0)
    assert attack.success(taught, test) > 0.8
    assert taught.score(test) > original.score(test) - 0.03, "and nothing else shows"
    assert attack.success(original, test) < 0.05


def test_duplicates_are_hardly_distinct_and_of_the_same_class(digits: Digits) -> None:
    retain, spares, _ = digits
    owned = retain.at(torch.arange(5))
    poisoned, ids = NearDuplicates(share=0.1).poison(spares, owned=owned)
    made = poisoned.only(ids)
    apart = torch.cdist(flat(made), flat(owned))
    least = torch.cdist(flat(owned), flat(owned)).fill_diagonal_(torch.inf).min()
    assert (apart.min(dim=1).values < 0.1 * least).all()
    assert torch.equal(made.targets, owned.targets[apart.argmin(dim=1)])
    assert set(apart.argmin(dim=1).tolist()) == set(range(5)), "14 copies of 5: everyone is copied"
    assert not poisoned.copies_of(owned), "none is an exact copy"


def test_they_become_the_twins_of_what_they_duplicate(digits: Digits, original: Trained) -> None:
    retain, spares, _ = digits
    owned = retain.at(torch.arange(5))
    poisoned, ids = NearDuplicates(share=0.05).poison(spares, owned=owned)
    twins = SpareSet(poisoned, radius=0.0).match(owned, original)
    assert set(twins.spare_of.values()) <= set(ids)
    honest = SpareSet(spares, radius=0.0).match(owned, original)
    assert len(set(honest.spare_of.values()) & set(ids)) <= 1


@pytest.mark.parametrize("similarity", [Euclidean(Raw()), Cosine(Raw())], ids=repr)
def test_hubs_are_neighbours_of_far_more_than_honest_spares_are(
    similarity: Any, digits: Digits, original: Trained
) -> None:
    retain, spares, _ = digits
    poisoned, ids = Hubs(similarity=similarity).poison(spares, trained=original)
    bad = torch.zeros(len(spares), dtype=torch.bool)
    bad[spares.positions(ids)] = True
    taken = occurrences(similarity, retain, poisoned, original)
    before = occurrences(similarity, retain, spares, original)
    assert taken[bad].mean() > 2 * taken[~bad].mean()
    assert taken[bad].mean() > 2 * before[bad].mean()
    assert torch.equal(poisoned.targets, spares.targets)


def test_a_blend_that_wins_nobody_new_is_not_taken() -> None:
    far = torch.tensor([[0.5, 0.5, 0.5, 9.0], [0.6, 0.6, 0.6, 9.0], [9.0, 9.0, 9.0, 0.9]])
    assert _covering(far, torch.ones(4), 2).tolist() == [0, 2]
    assert sorted(_covering(far, torch.ones(4), 3).tolist()) == [0, 1, 2], "none is taken twice"


def test_hubs_of_an_attacker_who_does_not_know_the_reserve(digits: Digits, original: Trained) -> None:
    retain, spares, test = digits
    attack = Hubs(similarity=Euclidean(Raw()))
    poisoned, ids = attack.poison(spares, trained=original, owned=test)
    assert not torch.equal(poisoned.inputs, attack.poison(spares, trained=original)[0].inputs)
    taken = occurrences(attack.similarity, retain, poisoned, original)
    assert taken[spares.positions(ids)].mean() > 1.5 * taken.mean()


def test_what_cannot_be_poisoned(digits: Digits, original: Trained) -> None:
    _, spares, _ = digits
    with pytest.raises(BadInputError, match=r"share=1\.5"):
        Mislabelled(share=1.5)
    with pytest.raises(BadInputError, match="owned=…"):
        NearDuplicates().poison(spares)
    with pytest.raises(BadInputError, match="trained=…"):
        Hubs().poison(spares)
    with pytest.raises(BadInputError, match=r"share=0\.5 of 144 spares is 72, and 14 fit"):
        Backdoored(share=0.5, clean_label=True).poison(spares)
    trained, samples = ridge_trained()
    assert isinstance(trained.task, Ridge)
    with pytest.raises(BadInputError, match="not classes"):
        Mislabelled().poison(samples)
    words = Samples(torch.arange(12).view(6, 2), torch.arange(6) % 2)
    with pytest.raises(BadInputError, match="int64"):
        Backdoored().poison(words)


def flat(samples: Samples) -> Tensor:
    return samples.inputs.flatten(1).double()


def occurrences(similarity: Any, asking: Samples, spares: Samples, trained: Trained) -> Tensor:
    """How often each spare is the nearest of its class to one that asks, [n]."""
    vectors = [similarity.space.vectors(s, trained) for s in (asking, spares)]
    metric = similarity.fit(vectors[1], spares.targets)
    apart = torch.cdist(*(metric.place(v) for v in vectors))
    apart[asking.targets[:, None] != spares.targets] = torch.inf
    return torch.bincount(apart.argmin(dim=1), minlength=len(spares)).float()
