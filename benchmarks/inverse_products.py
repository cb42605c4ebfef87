"""Inverse curvature products, by conjugate gradients and by EK-FAC, beside pyDVL, curvlinops and kronfluence.

    python benchmarks/inverse_products.py [--samples 512] [--repeats 5] [--models ...] [--json FILE]

Digits (and CIFAR-10 where the folder named by UNSCATHED_DATA has it), float32, contenders in turns; every figure is a
ratio of medians. What is solved is (C + damping I) x = b, with b the mean gradient of 64 other samples.

First, each contender is compared, by the cosine, with an exact solve in float64: dense up to 4,096 parameters, by
conjugate gradients to a relative residual of 1e-8 up to 20,000. Conjugate gradients are then timed for the fewest
iterations of a ladder with which a contender's cosine reaches 0.99, each contender's own. C is the Gauss-Newton matrix,
but for pyDVL the Hessian, with its own exact solve: what pyDVL calls Gauss-Newton is the mean of gradients' outer
products. On the linear model the two are one matrix.

EK-FAC approximates C: its cosines show at what price, and how equal the contenders are; on larger models they are the
cosines to ours. On small models EK-FAC's times are mostly what a contender does once, whatever the size (kronfluence
writes its factors to a folder and reads them again), so the largest model is the one to judge by. Peers that are
missing (extra ``bench``) or fail on a model are named.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from curvature import FourConvolutions
from timing import in_turns, medians, ratio
from unscathed import ClassificationTask, Recipe, Samples, fit
from unscathed.curvature import GaussNewton, ModelFunction, conjugate_gradients, hessian, kronecker_factors
from unscathed.curvature.functional import jvp
from unscathed.curvature.hessian import LARGEST
from unscathed.lab import datasets
from unscathed.lab.models import DigitNet
from unscathed.lab.provenance import provenance

LADDER = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 400)
"""Iterations that conjugate gradients may take."""
BATCH = 128
ROOT = Path(os.environ.get("UNSCATHED_DATA", ""))
PEERS = {"pyDVL": "pydvl", "curvlinops-for-pytorch": "curvlinops", "kronfluence": "kronfluence"}
"""By package, what is imported."""
Solver = Callable[[], Tensor]


def linear(classes: int = 10) -> nn.Module:
    """Logistic regression: the Hessian is the Gauss–Newton matrix."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def perceptron(classes: int = 10) -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, classes)
    )


def convolutional(classes: int = 10) -> nn.Module:
    """Two convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


MODELS: dict[str, tuple[str, Callable[..., nn.Module]]] = {
    "linear": ("digits", linear),
    "perceptron": ("digits", perceptron),
    "convolutional": ("digits", convolutional),
    "DigitNet": ("digits", DigitNet),
    "FourConvolutions": ("cifar10", FourConvolutions),
}
"""By name: the data set, and what builds it."""


class Problem:
    """A trained model, samples for the curvature, and a right side."""

    def __init__(self, name: str, count: int, damping: float) -> None:
        dataset, build = MODELS[name]
        data = (datasets.digits() if dataset == "digits" else datasets.cifar10(ROOT / dataset)).samples
        self.task = ClassificationTask(partial(build, classes=10), 10)
        self.samples = data.only(data.ids[:count])
        recipe = Recipe(steps=200, batch_size=BATCH, precision="float32")
        self.trained = fit(self.task, self.samples, recipe, seed=0)
        self.damping = damping
        self.function = ModelFunction(self.trained, batch_size=BATCH)
        self.right = self.function.mean_gradient(data.only(data.ids[count : count + 64]))
        whole = self.task.prepare(self.samples.take(torch.arange(count)))
        self.data = TensorDataset(whole.inputs, whole.targets)
        self.loader = DataLoader(self.data, batch_size=BATCH)

    def model(self) -> nn.Module:
        """A module of a peer's own, in the default layout."""
        return self.trained.model().to(memory_format=torch.contiguous_format).eval()

    def exact(self) -> dict[str, Tensor | None]:
        """Solves in float64 with the Gauss-Newton matrix and the Hessian, by name; none above 20,000 parameters.

        None stands where C + damping I is not positive definite.
        """
        if len(self.right) > 20_000:
            return {}
        task = ClassificationTask(lambda: self.task.build().double(), 10)
        weights = {name: w.double() for name, w in self.trained.weights.items()}
        held = Samples(self.data.tensors[0].double(), self.data.tensors[1], self.samples.ids)
        function = ModelFunction(replace(self.trained, task=task, weights=weights), batch_size=len(held))
        right, gauss_newton = self.right.double(), GaussNewton(function, held)
        if len(right) <= LARGEST:
            eye = torch.eye(len(right), dtype=torch.float64)
            matrices = {"gauss-newton": torch.stack([gauss_newton(v) for v in eye]), "hessian": hessian(function, held)}
            least = {name: float(torch.linalg.eigvalsh(m)[0]) for name, m in matrices.items()}
            return {
                name: torch.linalg.solve(m + self.damping * eye, right) if least[name] > -self.damping else None
                for name, m in matrices.items()
            }
        (batch,) = function.batches(held)
        slope = torch.func.grad(lambda vector: function.losses(function.unflatten(vector), batch).mean())
        at = function.flatten(function.parameters)
        products = {"gauss-newton": gauss_newton, "hessian": lambda v: jvp(slope, at, v)[1]}
        found = {
            name: conjugate_gradients(product, right, damping=self.damping, iterations=3000, tolerance=1e-8)
            for name, product in products.items()
        }
        return {name: s.vector if s.residual <= 1e-8 else None for name, s in found.items()}


# Contenders by conjugate gradients: from a problem and the iterations, a solve from nothing to the solution.


def ours_cg(problem: Problem, iterations: int) -> Solver:
    return lambda: (
        conjugate_gradients(
            GaussNewton(problem.function, problem.samples),
            problem.right,
            damping=problem.damping,
            iterations=iterations,
            tolerance=0.0,
        ).vector
    )


def pydvl_cg(problem: Problem, iterations: int) -> Solver:
    from pydvl.influence.torch.operator import CgOperator, HessianOperator

    model = problem.model()
    restrict = dict(model.named_parameters())

    def run() -> Tensor:
        operator = HessianOperator(model, functional.cross_entropy, problem.loader, restrict_to=restrict)
        solver = CgOperator(
            operator, problem.damping, rtol=0.0, atol=1e-12, maxiter=iterations, warn_on_max_iteration=False
        )
        found: Tensor = solver.apply(problem.right.clone())
        return found.flatten()

    return run


def curvlinops_cg(problem: Problem, iterations: int) -> Solver:
    from curvlinops import GGNLinearOperator
    from linear_operator.utils.linear_cg import linear_cg  # what its CGInverseLinearOperator calls

    model = problem.model()
    loss = nn.CrossEntropyLoss(reduction="mean")

    def run() -> Tensor:
        parameters, batches = list(model.parameters()), list(problem.loader)
        matrix = GGNLinearOperator(model, loss, parameters, batches, check_deterministic=False)
        found: Tensor = linear_cg(
            lambda v: matrix @ v + problem.damping * v,
            problem.right[:, None],
            max_iter=iterations,
            max_tridiag_iter=0,
            tolerance=1e-12,
        )
        return found.flatten()

    return run


# Contenders by EK-FAC, likewise.


def ours_ekfac(problem: Problem) -> Solver:
    return lambda: kronecker_factors(problem.function, problem.samples).solve(problem.right, problem.damping)


def kronfluence_ekfac(problem: Problem) -> Solver:
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments
    from kronfluence.task import Task as TheirTask

    class Classify(TheirTask):
        def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
            inputs, targets = batch
            logits = model(inputs)
            if sample:
                with torch.no_grad():
                    targets = torch.multinomial(logits.softmax(dim=-1), num_samples=1).flatten()
            return functional.cross_entropy(logits, targets, reduction="sum")

        def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
            return self.compute_train_loss(batch, model)

    task = Classify()
    plain = problem.model()
    model = prepare_model(problem.model(), task)
    parts = dict(zip([n for n, _ in plain.named_parameters()], split(plain, problem.right), strict=True))

    folder = tempfile.TemporaryDirectory()
    analyzer = Analyzer("bench", model, task, cpu=True, disable_tqdm=True, output_dir=folder.name)

    def run(folder: object = folder) -> Tensor:  # which lives as long as this does
        analyzer.fit_all_factors(
            "ekfac",
            problem.data,
            per_device_batch_size=BATCH,
            factor_args=FactorArguments(strategy="ekfac"),
            overwrite_output_dir=True,
        )
        bases = analyzer.load_eigendecomposition("ekfac")
        values = analyzer.load_lambda_matrices("ekfac")
        solved = dict(parts)
        for name, layer in plain.named_modules():
            if not isinstance(layer, nn.Linear | nn.Conv2d):
                continue
            gradient = torch.cat([parts[f"{name}.weight"].flatten(1), parts[f"{name}.bias"][:, None]], dim=1)
            left, right = (bases[f"{kind}_eigenvectors"][name].float() for kind in ("gradient", "activation"))
            spread = values["lambda_matrix"][name] / values["num_lambda_processed"][name] + problem.damping
            found = left @ ((left.T @ gradient @ right) / spread) @ right.T
            solved[f"{name}.weight"], solved[f"{name}.bias"] = found[:, :-1], found[:, -1]
        return torch.cat([value.flatten() for value in solved.values()])

    return run


def curvlinops_ekfac(problem: Problem) -> Solver:
    from curvlinops import EKFACLinearOperator, KFACInverseLinearOperator

    model = problem.model()
    parameters = list(model.parameters())

    def run() -> Tensor:
        factors = EKFACLinearOperator(
            model,
            nn.CrossEntropyLoss(reduction="mean"),
            parameters,
            list(problem.loader),
            check_deterministic=False,
            separate_weight_and_bias=False,
        )
        found: Tensor = (
            KFACInverseLinearOperator(factors, damping=problem.damping, use_exact_damping=True) @ problem.right
        )
        return found

    return run


BY_CG: dict[str, Callable[[Problem, int], Solver]] = {
    "ours": ours_cg,
    "pydvl": pydvl_cg,
    "curvlinops": curvlinops_cg,
}
BY_EKFAC: dict[str, Callable[[Problem], Solver]] = {
    "ours": ours_ekfac,
    "kronfluence": kronfluence_ekfac,
    "curvlinops": curvlinops_ekfac,
}


def split(model: nn.Module, vector: Tensor) -> list[Tensor]:
    """A vector in the shapes of a model's parameters."""
    sizes = [p.numel() for p in model.parameters()]
    return [v.view_as(p) for v, p in zip(torch.split(vector, sizes), model.parameters(), strict=True)]


def cosine(found: Tensor, exact: Tensor) -> float:
    """Between two vectors, in float64."""
    return float(functional.cosine_similarity(found.double(), exact.double(), dim=0))


def compare(name: str, count: int, repeats: int, damping: float) -> dict[str, Any]:
    """All contenders on one model."""
    problem = Problem(name, count, damping)
    exact = problem.exact()
    runs: dict[str, Solver] = {}
    failed: dict[str, str] = {}
    cg: dict[str, Any] = {}
    ekfac: dict[str, float] = {}
    for contender, make in BY_CG.items() if exact else ():
        try:
            matrix = "hessian" if contender == "pydvl" else "gauss-newton"
            aim = exact[matrix]
            if aim is None:
                raise ArithmeticError(f"the {matrix} is not positive definite with this damping")
            for iterations in LADDER:
                solver = make(problem, iterations)
                reached = cosine(solver(), aim)
                if reached >= 0.99:
                    break
            else:
                raise ArithmeticError(f"cosine {reached:.3f} after {LADDER[-1]} iterations")
            cg[contender] = {"iterations": iterations, "cosine": reached, "matrix": matrix}
            runs[f"cg {contender}"] = solver
        except Exception as error:  # whatever a peer raises on this model is its result
            failed[f"cg {contender}"] = reason(error)
    reference = exact.get("gauss-newton")
    for contender, build in BY_EKFAC.items():
        try:
            solver = build(problem)
            found = solver()
            reference = found if reference is None else reference
            ekfac[contender] = cosine(found, reference)
            runs[f"ekfac {contender}"] = solver
        except Exception as error:
            failed[f"ekfac {contender}"] = reason(error)
    seconds = in_turns(runs, repeats)
    figures: dict[str, Any] = {
        "model": name,
        "parameters": len(problem.right),
        "samples": count,
        "repeats": repeats,
        "damping": damping,
        "cg": cg,
        "ekfac_cosine": ekfac,
        "ekfac_cosine_to": "exact" if exact else "ours",
        "seconds": medians(seconds),
        "failed": failed,
    }
    for kind, label in (("cg", "ihvp"), ("ekfac", "ekfac")):
        for run in runs:
            if run.startswith(f"{kind} ") and not run.endswith(" ours") and f"{kind} ours" in runs:
                figures[f"{label}_vs_{run.split()[1]}"] = ratio(seconds[run], seconds[f"{kind} ours"])
    return figures


def reason(error: Exception) -> str:
    """An error's first line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


def show(figures: dict[str, Any]) -> str:
    """One model's lines."""
    lines = [f"{figures['model']}, {figures['parameters']:,} parameters, damping {figures['damping']}"]
    for contender, found in figures["cg"].items():
        lines.append(f"  cg    {contender:12} {found['iterations']:4} iterations, cosine {found['cosine']:.4f}")
    to = figures["ekfac_cosine_to"]
    lines += [
        f"  ekfac {contender:12} cosine {found:.4f} to {to}" for contender, found in figures["ekfac_cosine"].items()
    ]
    for key, found in figures.items():
        if "_vs_" in key:
            lines.append(f"  {key}: {found['median']:.2f} ({found['least']:.2f} to {found['most']:.2f})")
    return "\n".join(lines + [f"  {name}: {why}" for name, why in figures["failed"].items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--damping", type=float, default=1e-2)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    figures = []
    for model in arguments.models:
        if MODELS[model][0] != "digits" and not (
            os.environ.get("UNSCATHED_DATA") and (ROOT / MODELS[model][0]).is_dir()
        ):
            print(f"{model} is left out: there is no {MODELS[model][0]} in the folder named by UNSCATHED_DATA")
            continue
        figures.append(compare(model, arguments.samples, arguments.repeats, arguments.damping))
        print(show(figures[-1]), flush=True)
        if arguments.json:
            peers = {name: version(name) for name in PEERS if find_spec(PEERS[name])}
            record = {"environment": provenance(), "peers": peers, "figures": figures}
            arguments.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
