import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unscathed import BadInputError, Samples


def numbered(count: int) -> Samples:
    return Samples(torch.arange(count * 2.0).view(count, 2), torch.arange(count) % 3, range(count))


def test_ids_are_the_callers_or_digests_of_the_content() -> None:
    pixels = torch.tensor([[1, 2], [3, 4], [1, 2]], dtype=torch.uint8)
    assert Samples(pixels, ids=[7, 8, 9]).ids == ("7", "8", "9")
    first, second, third = Samples(pixels).ids
    assert first != second
    assert third == f"{first}#2"
    assert Samples(pixels.flip(0)).ids[1] == second, "the digest is of the content, not of the place"


def test_digests_differ_by_type_and_shape() -> None:
    flat = Samples(torch.zeros(1, 4, dtype=torch.uint8)).digests
    assert flat != Samples(torch.zeros(1, 2, 2, dtype=torch.uint8)).digests
    assert flat != Samples(torch.zeros(1, 4, dtype=torch.int8)).digests


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_only_and_without_part_the_samples(case: tuple[int, set[int]]) -> None:
    count, chosen = case
    samples = numbered(count)
    only, without = samples.only(chosen), samples.without(chosen)
    assert set(only.ids) | set(without.ids) == set(samples.ids)
    assert not set(only.ids) & set(without.ids)
    joined = without + only
    assert torch.equal(joined.only(samples.ids).inputs, samples.inputs)
    assert torch.equal(joined.only(samples.ids).targets, samples.targets)


@given(st.integers(2, 60), st.floats(0.05, 0.95), st.integers(0, 5))
def test_a_split_parts_the_samples_and_repeats_itself(count: int, share: float, seed: int) -> None:
    samples = numbered(count)
    if not 0 < round(share * count) < count:
        with pytest.raises(BadInputError, match="hold a reserve back"):
            samples.split(reserve=share, seed=seed)
        return
    retain, spares = samples.split(reserve=share, seed=seed)
    assert len(spares) == round(share * count)
    assert sorted(retain.ids + spares.ids) == sorted(samples.ids)
    assert samples.split(reserve=share, seed=seed)[1].ids == spares.ids


def test_a_split_is_by_class() -> None:
    samples = Samples(torch.randn(300, 2), torch.arange(300) % 3)
    _, spares = samples.split(reserve=30, seed=1)
    assert torch.bincount(spares.targets).tolist() == [10, 10, 10]


@pytest.mark.parametrize("reserve", [0, 0.0, 1.0, 1.5, -0.1, 10, 12])
def test_a_reserve_of_nothing_or_everything_is_refused(reserve: float) -> None:
    with pytest.raises(BadInputError, match="leaves both parts some"):
        numbered(10).split(reserve=reserve, seed=0)


def test_a_seed_that_cannot_be() -> None:
    with pytest.raises(BadInputError, match="seed=-1"):
        numbered(10).split(reserve=0.5, seed=-1)


def test_views_copy_no_rows_and_keep_uint8() -> None:
    samples = Samples(torch.zeros(100, 3, 4, 4, dtype=torch.uint8), torch.arange(100) % 10)
    part = samples.without(samples.ids[:10])
    assert part._rows is samples._rows
    assert (part + samples.only(samples.ids[:5]))._rows is samples._rows
    assert part.dtype == torch.uint8
    assert part.nbytes == 90 * 48


def test_what_a_view_hands_out_is_a_copy() -> None:
    samples = numbered(4)
    samples.inputs.fill_(9)
    samples.take(torch.tensor([0])).inputs.fill_(9)
    assert samples.inputs.max() == 7


def test_batches_go_through_all_rows_in_order() -> None:
    samples = numbered(7).only([6, 2, 4])
    assert [b.inputs[:, 0].tolist() for b in samples.batches(2)] == [[12.0, 4.0], [8.0]]


def test_copies_are_found_under_other_ids() -> None:
    pixels = torch.tensor([[1, 2], [3, 4], [1, 2], [1, 2]], dtype=torch.uint8)
    samples = Samples(pixels, ids=list("abcd"))
    assert samples.copies_of(samples.only(["a", "b"])) == {"a": ("c", "d")}
    assert samples.without(["a"]).copies_of(samples.only(["a"])) == {"a": ("c", "d")}


def test_joining_across_sources() -> None:
    one, other = numbered(3), Samples(torch.ones(2, 2), torch.tensor([1, 2]), ["x", "y"])
    joined = one + other
    assert joined.ids == ("0", "1", "2", "x", "y")
    assert torch.equal(joined.inputs[3:], torch.ones(2, 2))
    with pytest.raises(BadInputError, match="3 of the same ids"):
        one + numbered(3)
    with pytest.raises(BadInputError, match="must agree"):
        one + Samples(torch.ones(2, 5), ids=["x", "y"])


def test_samples_without_targets() -> None:
    assert Samples(np.ones((3, 2))).targets.shape == (3, 0)
    assert Samples(np.ones((3, 2))).dtype == torch.float64


def test_all_that_is_wrong_with_samples_is_named_at_once() -> None:
    inputs = torch.tensor([[1.0, float("nan")], [1.0, 2.0], [float("inf"), 0.0]])
    with pytest.raises(BadInputError) as caught:
        Samples(inputs, [0, 1], ["a", "a", "b"])
    text = str(caught.value)
    assert "3 problems" in text
    assert "3 inputs but 2 targets" in text
    assert "2 inputs hold NaN or infinite values (rows 0, 2)" in text
    assert "1 ids are repeated ('a')" in text


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([np.ones((2, 2)), np.ones((3, 2))], "mixed shapes"),
        (["one", "two"], "give numbers"),
        (np.ones((0, 3)), "no inputs"),
    ],
)
def test_inputs_that_cannot_be_used(inputs: object, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        Samples(inputs)


def test_unknown_and_repeated_ids_are_all_named() -> None:
    with pytest.raises(BadInputError) as caught:
        numbered(5).only([1, 1, 77, "z"])
    assert "2 ids are unknown ('77', 'z')" in str(caught.value)
    assert "1 ids are repeated ('1')" in str(caught.value)


def test_a_lone_string_is_not_read_letter_by_letter() -> None:
    with pytest.raises(BadInputError, match="give a list"):
        numbered(5).only("12")
