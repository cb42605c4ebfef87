"""Finding twins in a large reserve, beside faiss' bare exact search and scikit-learn's neighbours.

    python benchmarks/matching.py [--spares 1000000] [--width 512] [--forget 10000] [--repeats 5] [--json FILE]

Spares in ten classes, float32, same-class cosine, each spare once. Ours is the whole call: which spares are at hand,
search, refusal of what is too close, assignment, spending. faiss (flat, inner product) and scikit-learn (brute force)
get unit vectors, class by class, and search for the one nearest alone. Contenders take turns; every figure is a ratio
of medians. Before anything is timed, ours is compared with brute force in float64.

Vectors are drawn: a class centre, and normal noise that is as long. Peers that are missing are named.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from timing import in_turns, medians, peak_memory, ratio
from unscathed import ClassificationTask, Cosine, Recipe, Samples, SpareSet
from unscathed.lab.provenance import provenance
from unscathed.reserve import Approximate, Stock, Twins
from unscathed.training import Trained

CLASSES = 10
CHECKED = 200
"""Forgotten samples whose twin is compared with brute force."""


class Given:
    """A space whose vectors are the inputs."""

    of_model = False

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        return samples.inputs


def drawn(count: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """Vectors [n, d] about their classes' centres, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    vectors = torch.randn(count, width, generator=generator)
    vectors += torch.randn(CLASSES, width, generator=torch.Generator().manual_seed(99))[labels]
    return vectors, labels


def model(width: int) -> Trained:
    """A model that only says what the classes are."""
    task = ClassificationTask(partial(nn.Linear, width, CLASSES), CLASSES)
    weights = task.build().state_dict()
    return Trained(task=task, weights=weights, recipe=Recipe(epochs=1), seed=0, ids=())


class Reserves:
    """The same reserve, made anew for each call, as its spares are spent; their vectors are embedded before."""

    def __init__(self, spares: int, width: int, forget: int, **settings: Any) -> None:
        self.trained = model(width)
        vectors, labels = drawn(spares, width, 0)
        self.spares = Samples(vectors, labels, map(str, range(spares)))
        self.forget = Samples(*drawn(forget, width, 1), [f"f{n}" for n in range(forget)])
        self.reserve = SpareSet(self.spares, Cosine(Given()), **settings)
        started = time.perf_counter()
        self.reserve.vectors.adopt(vectors, self.spares, self.trained)
        self.reserve._radius(torch.ones(spares, dtype=torch.bool))
        self.built = time.perf_counter() - started

    def match(self) -> Twins:
        self.reserve.stock = Stock()
        twins = self.reserve.match(self.forget, self.trained)
        self.reserve.spend(twins)
        return twins


def by_class(made: Reserves) -> list[tuple[np.ndarray, np.ndarray]]:
    """Unit vectors of the forgotten and of the spares, class by class, for the peers."""
    parts = []
    for label in range(CLASSES):
        ours, theirs = (
            nn.functional.normalize(samples.inputs[samples.targets == label], dim=1).numpy()
            for samples in (made.forget, made.spares)
        )
        parts.append((ours, theirs))
    return parts


def faiss_flat(parts: list[tuple[np.ndarray, np.ndarray]], count: int = 1) -> None:
    import faiss

    for ours, theirs in parts:
        faiss.knn(ours, theirs, count, metric=faiss.METRIC_INNER_PRODUCT)


def sklearn_brute(parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    from sklearn.neighbors import NearestNeighbors

    for ours, theirs in parts:
        NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine").fit(theirs).kneighbors(ours)


def products(parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """The limit: the same products, and nothing else."""
    for ours, theirs in parts:
        queries, candidates = torch.from_numpy(ours), torch.from_numpy(theirs)
        for block in candidates.split(8192):
            queries @ block.T


def check(made: Reserves) -> float:
    """The share of a few forgotten samples, the first of each class, that got their true nearest."""
    twins = made.match()
    hits, taken = 0, set()
    positions = made.forget.targets.argsort(stable=True)
    chosen = torch.cat([positions[made.forget.targets[positions] == c][: CHECKED // CLASSES] for c in range(CLASSES)])
    spare_labels, inputs = made.spares.targets, made.spares.inputs
    for row in sorted(chosen.tolist()):
        one = made.forget.inputs[row].double()
        own = (spare_labels == made.forget.targets[row]).nonzero().flatten()
        rows = inputs[own]
        cosines = torch.cat(
            [
                nn.functional.normalize(p.double(), dim=1) @ nn.functional.normalize(one, dim=0)
                for p in rows.split(20_000)
            ]
        )
        # Twins of earlier ones are gone; of a class, only its first samples are looked at, so all of these are known.
        free = [n for n in cosines.topk(CHECKED).indices.tolist() if made.spares.ids[int(own[n])] not in taken]
        got = twins.spare_of[made.forget.ids[row]]
        refused = set(twins.refused)
        best = next(made.spares.ids[int(own[n])] for n in free if made.spares.ids[int(own[n])] not in refused)
        hits += got == best
        taken.add(got)
    return hits / len(chosen)


def reading(made: Reserves) -> float:
    """Seconds to read the vectors from a file that is in the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        np.save(file, made.spares.inputs.numpy())
        np.load(file)
        started = time.perf_counter()
        np.load(file)
        return time.perf_counter() - started


def prepared(name: str, spares: int, width: int, forget: int) -> Callable[[], object]:
    made = Reserves(spares, width, forget)
    if name == "ours":
        return made.match
    parts = by_class(made)
    return partial({"faiss": faiss_flat, "scikit-learn": sklearn_brute}[name], parts)


def joint(made: Reserves, sizes: tuple[int, ...]) -> dict[str, float]:
    """How much closer twins are where a whole request is assigned together, by its size: ratios of mean distances."""
    found = {}
    for size in sizes:
        forget = made.forget.at(torch.arange(size))
        means = []
        for assignment in ("in order", "joint"):
            made.reserve.stock, made.reserve.assignment = Stock(), assignment  # type: ignore[assignment]
            means.append(made.reserve.match(forget, made.trained).mean_distance)
        found[str(size)] = means[1] / means[0]
    made.reserve.assignment = "in order"
    return found


def installed(names: tuple[str, ...]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spares", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--forget", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--approximate", action="store_true", help="also build the approximate index (minutes)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sizes = (arguments.spares, arguments.width, arguments.forget)
    peers = installed(("faiss-cpu", "scikit-learn"))

    made = Reserves(*sizes)
    figures: dict[str, Any] = {"recall": check(made), "built_over_reading": made.built / reading(made)}
    built = f"built in {made.built:.2f} s, {figures['built_over_reading']:.2f} × reading the vectors"
    print(f"true nearest found: {figures['recall']:.1%} of {CHECKED}; {built}")
    parts = by_class(made)
    contenders: dict[str, Callable[[], object]] = {"ours": made.match, "products": partial(products, parts)}
    if peers["faiss-cpu"]:
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        contenders["faiss"] = partial(faiss_flat, parts)
    contenders["scikit-learn"] = partial(sklearn_brute, parts)
    seconds = in_turns(contenders, arguments.repeats)
    figures["seconds"] = medians(seconds)
    figures["match_over"] = {name: ratio(seconds["ours"], times) for name, times in seconds.items() if name != "ours"}
    flops = 2.0 * arguments.spares / CLASSES * arguments.forget * arguments.width
    for name, of in figures["match_over"].items():
        spread = f"({of['least']:.3f}…{of['most']:.3f})"
        print(f"ours over {name}: {of['median']:.3f} {spread}, i.e. {1 / of['median']:.2f} × as fast")
    for name, median in figures["seconds"].items():
        print(f"{name}: {median:.2f} s, {flops / median / 1e9:.0f} GFLOP/s")
    figures["joint_over_in_order"] = joint(made, tuple(s for s in (100, 1000, 10_000) if s <= arguments.forget))
    print("mean distance, joint over in order, by size of request:", figures["joint_over_in_order"])
    if arguments.approximate:
        approximate = Reserves(*sizes, approximate=Approximate())
        started = time.perf_counter()
        approximate.match()
        first = time.perf_counter() - started
        again = in_turns({"ours": approximate.match}, arguments.repeats)
        figures["approximate"] = {
            "recall": approximate.reserve.vectors.recall(),
            "seconds": medians(again)["ours"],
            "seconds_with_building": first,
        }
        print("approximate index:", figures["approximate"])
        del approximate
    del made, parts, contenders
    vectors = arguments.spares * arguments.width * 4 / 2**20
    names = ["ours", *(["faiss"] if peers["faiss-cpu"] else []), "scikit-learn"]
    # Vectors are there before; what a call needs beyond them is what it grows by.
    figures["peak_over_vectors"] = {n: 1 + peak_memory(prepared, n, *sizes) / vectors for n in names}
    print("peak memory over the vectors:", {n: round(v, 2) for n, v in figures["peak_over_vectors"].items()})
    if arguments.json:
        settings = {k: v for k, v in vars(arguments).items() if k != "json"}
        record = {"environment": provenance(), "settings": settings, "peers": peers, "figures": figures}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
