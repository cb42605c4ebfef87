import pytest
from tests.support import REMEMBERING, noisy_blobs, remembering_task

from unscathed import BadInputError, BlindView, Samples, ShadowMargins, Shadows, fit_shadows
from unscathed.adversaries import Memorised, plant_canaries

SAMPLES, CANARIES = plant_canaries(noisy_blobs(), 8)


@pytest.fixture(scope="module")
def shadows() -> Shadows:
    return fit_shadows(remembering_task(), SAMPLES, REMEMBERING, 6)


def test_it_asks_for_what_only_the_sample_itself_teaches(shadows: Shadows) -> None:
    chosen = Memorised(12, shadows=shadows).choose(BlindView(SAMPLES))
    assert set(CANARIES) <= set(chosen)
    memorised = dict(zip(SAMPLES.ids, ShadowMargins.of(shadows, SAMPLES).memorisation().tolist(), strict=True))
    values = [memorised[i] for i in chosen]
    assert values == sorted(values, reverse=True)
    assert min(memorised[i] for i in CANARIES) > 0.6
    assert sorted(memorised.values())[100] == 0, "most samples are known from the others"
    assert repr(Memorised(12, shadows=shadows)) == "Memorised(budget=12, shadows=<6 models>)"


def test_it_chooses_among_some_of_the_samples(shadows: Shadows) -> None:
    some = SAMPLES.only(SAMPLES.ids[:50])
    assert set(Memorised(5, shadows=shadows).choose(BlindView(some))) <= set(some.ids)


def test_shadow_models_of_other_samples_tell_nothing(shadows: Shadows) -> None:
    with pytest.raises(BadInputError, match="60 samples are inside or outside of all shadow models"):
        Memorised(5, shadows=shadows).choose(BlindView(Samples(SAMPLES.inputs[:60], SAMPLES.targets[:60], range(60))))
