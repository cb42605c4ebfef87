import torch
from sklearn.datasets import load_wine
from tests.support import trained_by_hand

from unscathed import ClassificationTask, Recipe, Samples, fit
from unscathed.curvature import ModelFunction, fisher_diagonal, gauss_newton_product
from unscathed.lab.models import TableNet


def wine() -> Samples:
    """Real numbers, and one of them as a category."""
    data = load_wine()
    inputs = torch.from_numpy(data.data).float()
    codes = torch.bucketize(inputs[:, 0].contiguous(), torch.tensor([12.5, 13.0, 13.5]))
    numbers = (inputs[:, 1:] - inputs[:, 1:].mean(0)) / inputs[:, 1:].std(0)
    return Samples(torch.cat([numbers[:, :6], codes[:, None].float(), numbers[:, 6:]], dim=1), data.target)


CATEGORIES = (0,) * 6 + (4,) + (0,) * 6


def test_columns_go_where_they_belong() -> None:
    model = TableNet(3, CATEGORIES, widths=())
    rows = wine().inputs[:5]
    vectors = model.embeddings[0].weight[rows[:, 6].long()]
    numbers = torch.cat([rows[:, :6], rows[:, 7:]], dim=1)
    assert torch.equal(model(rows), model.head(torch.cat([numbers, vectors], dim=1)))


def test_embeddings_have_the_documented_sizes() -> None:
    with torch.device("meta"):
        sizes = {codes: TableNet(2, (codes,)).embeddings[0].weight.shape[1] for codes in (2, 16, 42, 100_000)}  # type: ignore[union-attr]
    assert sizes == {2: 2, 16: 8, 42: 13, 100_000: 600}


def test_it_learns_and_has_curvature() -> None:
    samples, test = wine().split(reserve=0.3, seed=0)
    task = ClassificationTask(lambda: TableNet(3, CATEGORIES, widths=(16,)), 3)
    trained = fit(task, samples, Recipe(epochs=20, batch_size=16, device="cpu"), seed=0)
    assert trained.score(test) > 0.9
    assert trained_by_hand(task, samples).score(test) < 0.7

    function = ModelFunction(trained)
    diagonal = function.unflatten(fisher_diagonal(function, samples))
    squares = torch.zeros_like(function.parameters["embeddings.0.weight"])
    model = trained.model()
    for batch in samples.batches(1):
        model.zero_grad()
        task.losses(model(batch.inputs), batch).sum().backward()
        squares += model.get_parameter("embeddings.0.weight").grad.square()  # type: ignore[union-attr]
    torch.testing.assert_close(diagonal["embeddings.0.weight"], squares / len(samples))
    vector = torch.randn(sum(p.numel() for p in function.parameters.values()))
    assert float(gauss_newton_product(function, samples, vector) @ vector) > 0
