"""Do longer references, several of them, or more rounds make oracle matching forget as gold does?

    python experiments/references.py [--samples 5000] [--seeds 5] [--json FILE]

MNIST, cases as in `still_forgotten.py`: gradient ascent without a budget, healed for a tenth of the training steps.
Then `OracleMatching` with references of a tenth to all of gold's steps, one or three of them; matching for one, two and
three rounds whatever the signal says, from the healed model and from the original, which no unlearner touched; and the
references themselves in place of the model. Each is compared with gold: accuracy, mean distance of margins on the
forgotten, and the chance that the likelihood ratio to four other golds is higher on a forgotten sample than on an
unseen one (another gold's is the floor). What a file of an earlier run with the same settings has is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from still_forgotten import Case, prepare, requests
from unscathed import GradientAscent, Healer, Samples, Trained, fit
from unscathed.healing import MemorySignal, OracleMatching
from unscathed.lab.provenance import provenance
from unscathed.training.checkpoint import write_atomically
from unscathed.training.seeds import derive

GOLDS = 5
MEASURES = ("test", "forgotten", "margins", "auc")


def likelihoods(model: Trained, samples: Samples) -> Tensor:
    return torch.exp(-model.evaluate(samples).losses).double()


def references(case: Case, left: Samples, share: float, count: int) -> tuple[Trained, ...]:
    steps = max(1, round(share * case.recipe.total_steps(len(left))))
    recipe = case.recipe.lasting(steps=steps)
    return tuple(fit(case.task, left, recipe, seed=derive(case.seed, "reference", n)) for n in range(count))


def models(case: Case, forgotten: Samples, left: Samples) -> Iterator[tuple[str, Trained]]:
    """All that is compared with gold, by name."""
    collapsed = GradientAscent(kl_budget=None, learning_rate=0.2).unlearn(case.original, case.retain, forgotten.ids)
    healed = Healer(strategy="retain", steps=case.tenth).heal(collapsed, retain=left)
    yield "original", case.original
    yield "healed", healed
    signal = MemorySignal.fit(case.original, retain=left, unseen=case.spares)
    yield "matched, as by default", OracleMatching().heal(healed, forgotten=forgotten, signal=signal, retain=left)
    of_share = {share: references(case, left, share, 3) for share in (0.1, 0.2, 0.4, 1.0)}
    for share, made in of_share.items():
        yield f"reference of {share:.0%} itself", made[0]
        for count in (1, 3):
            own = replace(signal, references=made[:count], unseen=(case.spares,) * count)
            matched = OracleMatching().heal(healed, forgotten=forgotten, signal=own, retain=left)
            yield f"matched, {count} of {share:.0%}", matched
    own = replace(signal, references=of_share[0.4][:1])
    for name, start in (("healed", healed), ("original", case.original)):
        model = start
        for number in range(3):
            model = OracleMatching()._matched(model, forgotten, left, own, derive(case.seed, number), ())
            yield f"{number + 1} rounds from the {name}, 1 of 40%", model


def measure(case: Case, ids: tuple[str, ...]) -> dict[str, dict[str, float]]:
    forgotten, left = case.retain.only(ids), case.retain.without(ids)
    gold, *others = (fit(case.task, left, case.recipe, seed=case.seed + 1000 + n) for n in range(GOLDS))
    usual = [torch.stack([likelihoods(g, part) for g in others]).mean(dim=0) for part in (forgotten, case.spares)]
    margins = others[0].evaluate(forgotten).margins
    member = torch.cat([torch.ones(len(forgotten)), torch.zeros(len(case.spares))])

    def compared(model: Trained) -> dict[str, float]:
        ratios = [likelihoods(model, part) / u for part, u in zip((forgotten, case.spares), usual, strict=True)]
        apart = (model.evaluate(forgotten).margins - margins).abs().mean()
        auc = roc_auc_score(member, torch.cat(ratios))
        values = (model.score(case.test), model.score(forgotten), float(apart), float(auc))
        return dict(zip(MEASURES, values, strict=True))

    return {"gold": compared(gold), **{name: compared(model) for name, model in models(case, forgotten, left)}}


def show(runs: list[dict[str, dict[str, dict[str, float]]]]) -> None:
    for request in runs[0]:
        print(f"\n{request} (test %, forgotten %, margins from gold's, AUC; mean ± sd of {len(runs)} seeds)\n")
        for name in runs[0][request]:
            cells = []
            for key in MEASURES:
                values = [run[request][name][key] * (100 if key in ("test", "forgotten") else 1) for run in runs]
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                digits = 1 if key in ("test", "forgotten") else 2
                cells.append(f"{statistics.fmean(values):.{digits}f} ± {spread:.{digits}f}")
            print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5000, help="training samples and spares, drawn anew each seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    if record.get("samples") != arguments.samples:
        known = {k: provenance()[k] for k in ("commit", "versions", "processor")}
        command = f"python experiments/references.py --samples {arguments.samples}"
        record = {"command": command, "samples": arguments.samples, **known, "runs": []}
    for seed in range(len(record["runs"]), arguments.seeds):
        started = time.perf_counter()
        case = prepare("mnist", arguments.samples, seed)
        asked = {name: ids for name, ids in requests(case).items() if name != "random"}
        record["runs"].append({name: measure(case, ids) for name, ids in asked.items()})
        if arguments.json:
            write_atomically(arguments.json, (json.dumps(record, indent=1) + "\n").encode())
        print(f"seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    show(record["runs"])


if __name__ == "__main__":
    main()
