"""The reserve under attack: what screens find of poison, and what poison does to a model healed from it.

    python experiments/poisoning.py [digits | mnist] [--seeds 5] [--json FILE]

MNIST is read from the folder named by UNSCATHED_DATA; a SmallNet learns 6,000 of its samples, 2,000 are spares, and
1,000 of its test samples test. Of the digits, 30 % are spares.

Found: the share of the attacker's spares that score higher than all but 1 % of the clean ones (a threshold that nobody
in the field knows, the same for all screens), and the area under the ROC curve. "Each" is the union of what all
screens find at their own 1 %, and says what it really costs; "together" ranks spares by the worst that any screen
thinks of them, and loses 1 % in all. The quota is a rule: it is told who contributed what, and its price is its own.

Healed: 5 % of the samples, drawn at random, are forgotten; twins are drawn from the reserve, poisoned or not, screened
(each screen may set 5 % aside) or not. Duplicates are of the very samples that are forgotten. "Refused" counts spares
that matching found too close to what is forgotten. "Random spares" are as many, drawn from all that are at hand: what
an attacker would reach if twins were not sought by class and likeness (the positive control of backdoors).
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

import unscathed as us
from unscathed.adversaries import Backdoored, Hubs, Mislabelled, NearDuplicates, Poisoning
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import Setup, setup
from unscathed.reserve.screens import (
    ConfidentLearning,
    ContributorQuota,
    Crowding,
    Hubness,
    NeighbourAgreement,
    Screen,
    SpectralOutliers,
    screen,
)
from unscathed.training.seeds import generator

SHARES = (0.01, 0.05, 0.2)
LOSE = 0.01
SET_ASIDE = 0.05
FEATURES, PIXELS = us.Cosine(), us.Euclidean(us.Raw())
SCREENS: dict[str, Screen] = {
    "neighbours": NeighbourAgreement(),
    "spectral": SpectralOutliers(),
    "hubness": Hubness(),
    "crowding": Crowding(),
}
if find_spec("cleanlab"):
    SCREENS["confident"] = ConfidentLearning()
HEALERS = {name: us.Healer(strategy=name) for name in ("twins", "retain+twins")}
UNLEARNERS = {
    "digits": {"fisher": us.Fisher(), "influence": us.Influence()},
    "mnist": {"influence": us.Influence()},
}
Cells = defaultdict[tuple[Any, ...], list[dict[str, float]]]


def attacks(share: float, seed: int, size: int) -> dict[str, tuple[Poisoning, Any]]:
    """The attacks by name, and the similarity by which twins are sought."""
    both: dict[str, Any] = {"share": share, "seed": seed}
    return {
        "mislabelled": (Mislabelled(**both), FEATURES),
        "mislabelled as 3": (Mislabelled(**both, target=3), FEATURES),
        "backdoored": (Backdoored(**both, size=size), FEATURES),
        "backdoored, clean label": (Backdoored(**both, size=size, clean_label=True), FEATURES),
        "near-duplicates": (NearDuplicates(**both), FEATURES),
        "less near duplicates": (NearDuplicates(**both, noise=0.3), FEATURES),
        "hubs in features": (Hubs(**both, similarity=FEATURES, tries=500), FEATURES),
        "hubs in pixels": (Hubs(**both, similarity=PIXELS, tries=500), PIXELS),
    }


def parts(name: str, seed: int) -> tuple[Setup, us.Samples, us.Samples, us.Samples]:
    """The setup, samples to learn, spares and test samples."""
    made = setup(name)
    if name == "digits":
        return made, *made.samples.split(reserve=0.3, seed=seed), made.test
    _, some = made.samples.split(reserve=8000, seed=seed)
    return made, *some.split(reserve=2000, seed=seed), made.test.split(reserve=1000, seed=0)[1]


def found(poisoned: us.Samples, bad: Tensor, similarity: Any, trained: us.Trained, seed: int) -> Mapping[str, Any]:
    """What each screen finds, and all of them."""
    vectors = similarity.space.vectors(poisoned, trained)
    places = similarity.fit(vectors, poisoned.targets).place(vectors)
    scores = {name: s.scores(places, poisoned.targets) for name, s in SCREENS.items()}
    # The share of spares that are as suspicious: ranks are compared where scores cannot be.
    ranks = {name: (s[:, None] <= s).float().mean(dim=1) for name, s in scores.items()}
    scores["together"] = -torch.stack(list(ranks.values())).min(dim=0).values
    flagged = {name: s > cut(s[~bad]) for name, s in scores.items()}
    flagged["each"] = torch.stack([flagged[name] for name in SCREENS]).any(dim=0)
    draws = generator(seed, "contributors")
    honest = torch.randint(100, (len(poisoned),), generator=draws).tolist()
    owners = ["attacker" if b else f"honest {h}" for b, h in zip(bad.tolist(), honest, strict=True)]
    quota = ContributorQuota(quota=0.02)
    flagged["quota"] = quota.flag(quota.scores(places, None, owners))
    return {
        name: {
            "caught": float(f[bad].float().mean()),
            "lost": float(f[~bad].float().mean()),
            "auc": float(roc_auc_score(bad, scores.get(name, f.float()))),
        }
        for name, f in flagged.items()
    }


def cut(clean: Tensor) -> float:
    """The score above which no more than 1 % of the clean ones are."""
    return float(clean.sort(descending=True).values[int(LOSE * len(clean))])


def measured(model: us.Trained, forgotten: us.Samples, test: us.Samples, backdoor: Backdoored) -> dict[str, float]:
    """Accuracy on both, and how often the patch turns test samples of other classes; all in percent."""
    return {
        "test": 100 * model.score(test),
        "forgotten": 100 * model.score(forgotten),
        "backdoor": 100 * backdoor.success(model, test),
    }


def healed(
    reserve: us.SpareSet,
    poison: set[str],
    forgotten: us.Samples,
    retained: us.Samples,
    test: us.Samples,
    trained: us.Trained,
    unlearned: Mapping[str, us.Trained],
    backdoor: Backdoored,
) -> dict[tuple[str, str], dict[str, float]]:
    """What healing from this reserve gives, by unlearner and strategy."""
    twins = reserve.match(forgotten, trained, distinct=retained)
    rest = reserve.unspent
    drawn = rest.at(torch.randperm(len(rest), generator=generator(trained.seed, "spares"))[: len(twins)])
    rows = {}
    for unlearner, model in unlearned.items():
        for strategy, healer in HEALERS.items():
            for name, spares in (("twins", twins.samples), ("random spares", drawn)):
                after = healer.heal(model, retain=retained, twins=spares)
                rows[unlearner, strategy.replace("twins", name)] = {
                    **measured(after, forgotten, test, backdoor),
                    "poisoned": 100 * len(poison & set(spares.ids)) / len(spares),
                    "twins": len(twins),
                    "refused": len(twins.refused),
                    "spares left": len(reserve),
                }
    return rows


def run(name: str, seed: int, detection: Cells, healing: Cells) -> None:
    """All of it for one seed."""
    size = 2 if name == "digits" else 3
    made, samples, spares, test = parts(name, seed)
    trained = us.fit(made.task, samples, made.recipe, seed=seed)
    forget = us.adversaries.Random(0.05, seed=seed).choose(us.BlindView(samples))
    forgotten, retained = samples.only(forget), samples.without(forget)
    unlearned = {key: method.unlearn(trained, samples, forget) for key, method in UNLEARNERS[name].items()}
    backdoor = Backdoored(size=size)
    for key, model in {"original": trained, **unlearned}.items():
        row = {
            "test": model.score(test),
            "forgotten": model.score(forgotten),
            "backdoor": backdoor.success(model, test),
        }
        healing[key, "none", "none", 0.0, False].append({k: 100 * v for k, v in row.items()})
    for key, model in unlearned.items():
        after = us.Healer(strategy="retain").heal(model, retain=retained)
        row = {
            "test": after.score(test),
            "forgotten": after.score(forgotten),
            "backdoor": backdoor.success(after, test),
        }
        healing[key, "retain", "none", 0.0, False].append({k: 100 * v for k, v in row.items()})
    controls = {"none": (None, FEATURES), "none, pixels": (None, PIXELS)}
    for share in (0.0, *SHARES):
        for attack_name, (attack, similarity) in (attacks(share, seed, size) if share else controls).items():
            poisoned, ids = spares, ()
            if attack is not None:
                try:
                    poisoned, ids = attack.poison(spares, trained=trained, owned=owned(attack, forgotten))
                except us.BadInputError as error:
                    print(f"{attack_name}, {share:.0%}: {error}")
                    continue
                bad = torch.zeros(len(poisoned), dtype=torch.bool)
                bad[poisoned.positions(ids)] = True
                for key, row in found(poisoned, bad, similarity, trained, seed).items():
                    detection[attack_name, share, key].append(row)
            for screened in (False, True):
                reserve = us.SpareSet(poisoned, similarity, shortfall="partial")
                if screened:
                    screen(reserve, trained, list(SCREENS.values()), SET_ASIDE)
                rows = healed(reserve, set(ids), forgotten, retained, test, trained, unlearned, backdoor)
                for (unlearner, strategy), row in rows.items():
                    healing[unlearner, strategy, attack_name, share, screened].append(row)


def owned(attack: Poisoning, forgotten: us.Samples) -> us.Samples | None:
    return forgotten if isinstance(attack, NearDuplicates) else None


def cells(found: Cells, axes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Per cell its place and each measure's values, one a seed."""
    rows = []
    for place, values in found.items():
        measures = {m: [round(v[m], 4) for v in values] for m in values[0]}
        rows.append({**dict(zip(axes, place, strict=True)), **measures})
    return rows


def mean(row: Mapping[str, Any], measure: str, digits: int = 2) -> str:
    return f"{statistics.fmean(row[measure]):.{digits}f}" if measure in row else "–"


def tables(report: Mapping[str, Any]) -> str:
    """Both tables, in Markdown; means over seeds."""
    names = [*report["screens"], "each", "together", "quota"]
    lines = [f"Caught at 1 % of clean spares lost (AUC), {report['data']}; quota: its own price\n"]
    lines += ["| attack | share | " + " | ".join(names) + " |", "| --- | ---: |" + " ---: |" * len(names)]
    by_place: defaultdict[tuple[str, float], dict[str, Any]] = defaultdict(dict)
    for row in report["detection"]:
        by_place[row["attack"], row["share"]][row["screen"]] = row
    for (attack, share), row in by_place.items():
        shown = []
        for name in names:
            extra = f"{mean(row[name], 'auc')}" if name not in ("each", "quota") else f"−{mean(row[name], 'lost', 3)}"
            shown.append(f"{mean(row[name], 'caught')} ({extra})")
        lines.append(f"| {attack} | {share:.0%} | " + " | ".join(shown) + " |")
    measures = ("test", "backdoor", "forgotten", "poisoned", "refused")
    lines += [f"\nHealed, {report['data']}, %: without screens / with screens\n"]
    lines += ["| unlearner | healed on | attack | share | " + " | ".join(measures) + " |"]
    lines += ["| --- | --- | --- | ---: |" + " ---: |" * len(measures)]
    pairs: defaultdict[tuple[Any, ...], dict[bool, Any]] = defaultdict(dict)
    for row in report["healing"]:
        pairs[row["unlearner"], row["strategy"], row["attack"], row["share"]][row["screened"]] = row
    for place, pair in pairs.items():
        shown = [" / ".join(mean(row, m, 1) for row in pair.values()) for m in measures]
        lines.append(f"| {place[0]} | {place[1]} | {place[2]} | {place[3]:.0%} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", choices=("digits", "mnist"), default="digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    detection: Cells = defaultdict(list)
    healing: Cells = defaultdict(list)
    for seed in range(arguments.seeds):
        run(arguments.data, seed, detection, healing)
        seconds = round(time.perf_counter() - started)
        print(f"seed {seed}: {seconds} s", flush=True)
        report = {
            **header(arguments.data, seed + 1),
            "seconds": seconds,
            "detection": cells(detection, ("attack", "share", "screen")),
            "healing": cells(healing, ("unlearner", "strategy", "attack", "share", "screened")),
        }
        if arguments.json:
            write(report, arguments.json)
    print(tables(report))


def header(data: str, seeds: int) -> dict[str, Any]:
    """What the figures depend on."""
    _, samples, spares, test = parts(data, 0)
    made = provenance()
    versions = json.loads(made["versions"])
    if "confident" in SCREENS:
        versions["cleanlab"] = version("cleanlab")
    return {
        "data": data,
        "command": f"python experiments/poisoning.py {data} --seeds {seeds}",
        "commit": made["commit"],
        "versions": versions,
        "processor": made["processor"],
        "samples": len(samples),
        "spares": len(spares),
        "test": len(test),
        "seeds": list(range(seeds)),
        "screens": {name: repr(s) for name, s in SCREENS.items()},
        "set aside by each screen before healing": SET_ASIDE,
    }


def write(report: Mapping[str, Any], file: Path) -> None:
    """JSON, one cell a line."""
    parts = []
    for key, value in report.items():
        if key in ("detection", "healing"):
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        else:
            text = json.dumps(value)
        parts.append(f" {json.dumps(key)}: {text}")
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
