import math
from dataclasses import replace

import pytest
import torch
from tests.support import TinyTransformer, blobs, tiny_task, trained_by_hand
from torch import Tensor, nn

from unscathed import BadInputError, ClassificationTask, Samples, Sisa, Trained
from unscathed.healing import Damage, LayerDamage, diagnose
from unscathed.training import Recipe

SAMPLES = blobs(60)


def deep() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 8), nn.ReLU(inplace=True), nn.BatchNorm1d(8), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)
    ).double()


TASK = ClassificationTask(deep, 3)
DOUBLES = Samples(SAMPLES.inputs.double(), SAMPLES.targets)


@pytest.fixture
def record() -> Trained:
    return trained_by_hand(TASK, DOUBLES)


def changed(record: Trained, **tensors: Tensor) -> Trained:
    return replace(record, weights={**record.weights, **{n.replace("_", ".", 1): t for n, t in tensors.items()}})


def by_name(damage: Damage) -> dict[str, LayerDamage]:
    return {layer.name: layer for layer in damage.layers}


def test_a_whole_model_has_no_damage(record: Trained) -> None:
    damage = diagnose(record, record, DOUBLES)
    assert damage.destroyed == ()
    assert damage.divergence == 0
    assert damage.score == damage.record_score
    assert damage.commonest == damage.record_commonest
    assert [layer.name for layer in damage.layers] == ["0", "2", "3", "5"]
    assert all(layer.weights == layer.own == layer.cumulative == layer.broken == 0 for layer in damage.layers)


def test_a_layer_is_blamed_for_its_own_damage_alone(record: Trained) -> None:
    noise = torch.randn(6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    damaged = changed(record, **{"3_weight": record.weights["3.weight"] + noise})
    layers = by_name(diagnose(damaged, record, DOUBLES))
    assert layers["0"].own == layers["0"].cumulative == layers["2"].own == layers["5"].own == 0
    assert layers["3"].own == layers["3"].cumulative > 0
    assert layers["5"].cumulative > 0

    # By hand: outputs of the third layer and of the last one.
    before, after = record.model(), damaged.model()
    with torch.no_grad():
        inputs = before[:3](DOUBLES.inputs)
        for name, y, moved in (
            ("3", before[3](inputs), after[3](inputs)),
            ("5", before(DOUBLES.inputs), after(DOUBLES.inputs)),
        ):
            relative = ((moved - y).square().sum() / (y - y.mean(0)).square().sum()).sqrt()
            assert layers[name].cumulative == pytest.approx(float(relative), rel=1e-9)
    size = torch.cat([record.weights["3.weight"].flatten(), record.weights["3.bias"]]).norm()
    assert layers["3"].weights == pytest.approx(float(noise.norm() / size), rel=1e-12)
    assert [name for name, layer in layers.items() if layer.weights] == ["3"]


def test_layers_beyond_the_threshold_are_destroyed(record: Trained) -> None:
    damaged = changed(record, **{"3_weight": -record.weights["3.weight"], "5_weight": 1.1 * record.weights["5.weight"]})
    assert diagnose(damaged, record, DOUBLES).destroyed == ("3",), "turned round is twice the deviation, a tenth is not"
    assert diagnose(damaged, record, DOUBLES, threshold=0.01).destroyed == ("3", "5")
    gently = diagnose(damaged, record, DOUBLES, threshold=5.0)
    assert gently.destroyed == ()
    assert gently.worst == "3"


def test_what_is_not_finite_is_the_worst_damage(record: Trained) -> None:
    weight = record.weights["3.weight"].clone()
    weight[0, :2] = torch.tensor([float("nan"), float("inf")])
    damage = diagnose(changed(record, **{"3_weight": weight}), record, DOUBLES, threshold=1e9)
    layers = by_name(damage)
    assert (layers["3"].broken, layers["0"].broken) == (2, 0)
    assert layers["3"].own == layers["5"].cumulative == damage.divergence == math.inf
    assert damage.destroyed == ("3",)
    assert damage.worst == "3"
    statistics = changed(record, **{"2_running_var": torch.full((8,), math.nan, dtype=torch.float64)})
    assert diagnose(statistics, record, DOUBLES, threshold=1e9).destroyed == ("2",)


def test_drift_is_the_divergence_of_kept_from_actual_statistics(record: Trained) -> None:
    first = record.weights["0.weight"] + 0.5
    damaged = changed(record, **{"0_weight": first})
    with torch.no_grad():
        entering = damaged.model()[:2](DOUBLES.inputs)
    actual, kept = entering.var(0, unbiased=False) + 1e-5, record.weights["2.running_var"] + 1e-5
    apart = (entering.mean(0) - record.weights["2.running_mean"]).square()
    expected = ((actual + apart) / kept - 1 - (actual / kept).log()).mean() / 2
    layers = by_name(diagnose(damaged, record, DOUBLES))
    assert layers["2"].drift == pytest.approx(float(expected), rel=1e-9)
    assert layers["2"].own == 0, "its own parameters are as they were"
    assert layers["0"].drift is None


def test_units_that_died_are_found_where_they_enter(record: Trained) -> None:
    bias = record.weights["3.bias"].clone()
    bias[:3] = -1e6
    with torch.no_grad():
        entering = record.model()[:5](DOUBLES.inputs)
    alive = entering.amax(0) > entering.amin(0)
    layers = by_name(diagnose(changed(record, **{"3_bias": bias}), record, DOUBLES))
    assert layers["5"].died == pytest.approx(float(alive[:3].sum() / alive.sum()))
    assert layers["5"].died
    assert layers["0"].died == layers["2"].died == layers["3"].died == 0


def test_collapse_to_one_answer_shows(record: Trained) -> None:
    damage = diagnose(changed(record, **{"5_bias": torch.tensor([0.0, 1e3, 0.0]).double()}), record, DOUBLES)
    assert damage.commonest == 1
    assert damage.score == pytest.approx(1 / 3)
    assert damage.divergence > 100
    before = record.outputs(DOUBLES).argmax(1).bincount().max() / 60
    assert damage.record_commonest == pytest.approx(float(before))


def test_it_prints_as_a_table(record: Trained) -> None:
    damaged = changed(record, **{"3_weight": -record.weights["3.weight"]})
    lines = str(diagnose(damaged, record, DOUBLES)).splitlines()
    assert lines[0].startswith("score 0.")
    assert "60 samples; most frequent answer" in lines[0]
    assert lines[1].split()[:3] == ["layer", "kind", "weights"]
    assert lines[4].startswith("3 *    Linear")
    assert lines[-1] == "destroyed (own > 1, or not finite): 3"
    assert len({len(line) for line in lines[1:2]}) == 1
    assert str(diagnose(record, record, DOUBLES)).endswith("not finite): none")


class Recurrent(nn.Module):
    """An LSTM, whose output is a tuple, and one layer that is run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(3, 4, batch_first=True)
        self.twice = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.memory(inputs[:, None])[0][:, 0]
        return self.head(self.twice(torch.relu_(self.twice(hidden))))


def test_any_module_can_be_diagnosed() -> None:
    recurrent = trained_by_hand(ClassificationTask(Recurrent, 3), SAMPLES)
    other = trained_by_hand(recurrent.task, SAMPLES, seed=1)
    layers = by_name(diagnose(other, recurrent, SAMPLES))
    assert all(layers[name].own for name in ("memory", "twice", "head"))

    tokens = Samples(torch.arange(50).view(10, 5) % 11, torch.arange(10) % 3)
    attentive = trained_by_hand(ClassificationTask(TinyTransformer, 3), tokens)
    other = trained_by_hand(attentive.task, tokens, seed=1)
    layers = by_name(diagnose(other, attentive, tokens))
    assert all(layers[n].own for n in ("embed", "layer.self_attn", "layer.linear1", "head"))
    assert layers["layer.norm1"].own == 0, "fresh norms are alike"
    assert layers["layer.norm1"].cumulative
    assert layers["layer.self_attn.out_proj"].own is None, "attention uses its weights without running it"
    assert layers["layer.self_attn.out_proj"].destroyed(0.5), "then its weights tell"

    sharded = Sisa(shards=2, slices=1).fit(tiny_task(), SAMPLES, Recipe(epochs=1), seed=0)
    weights = {**sharded.weights, "members.1.0.weight": -sharded.weights["members.1.0.weight"]}
    damage = diagnose(replace(sharded, weights=weights), sharded, SAMPLES)
    assert damage.destroyed == ("members.1.0",)


def test_it_changes_nothing_and_repeats_itself(record: Trained) -> None:
    damaged = changed(record, **{"0_weight": -record.weights["0.weight"]})
    weights = {name: tensor.clone() for name, tensor in damaged.weights.items()}
    one, other = (diagnose(damaged, record, DOUBLES, most=20, seed=3) for _ in range(2))
    assert one == other
    assert one.samples == 20
    assert one != diagnose(damaged, record, DOUBLES, most=20, seed=4)
    assert all(torch.equal(weights[name], damaged.weights[name]) for name in weights)


def test_what_cannot_be_diagnosed_is_named_at_once(record: Trained) -> None:
    other = trained_by_hand(tiny_task(), SAMPLES)
    with pytest.raises(BadInputError) as caught:
        diagnose(record, other, DOUBLES.only([]), threshold=0, most=0)
    assert "4 problems" in str(caught.value)
    assert "the record is of another model" in str(caught.value)
