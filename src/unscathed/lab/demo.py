"""The demo: train with a reserve, attack, unlearn, heal, audit, on real data, and tell the story."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from unscathed import adversaries as attackers
from unscathed.adversaries import BlindView, OutputView, ParameterView
from unscathed.audit import Verdict, audit, membership_auc
from unscathed.healing import Healer, Strategy
from unscathed.lab.report import write_report
from unscathed.lab.results import Results, Row, Stage, TwinPair, as_png, environment
from unscathed.lab.setups import Setup
from unscathed.problems import Problems
from unscathed.reserve import SpareSet, Twins
from unscathed.samples import Samples
from unscathed.similarity import Cosine, Features
from unscathed.training import Callback, DivergedError, Trained, fit
from unscathed.unlearners import Fisher, Influence, Retrain, Sisa, Unlearner

UNLEARNERS: dict[str, Callable[[], Unlearner]] = {
    "retrain": Retrain,
    "sisa": Sisa,
    "fisher": Fisher,
    "influence": Influence,
}
ADVERSARIES = ("random", "blind", "output-aware", "parameter-aware")
STRATEGIES: tuple[Strategy, ...] = ("retain+twins", "retain", "twins")
RESERVE = 0.1
BUDGET = 0.05
PAIRS_SHOWN = 6


@dataclass(frozen=True)
class Attack:
    """What an adversary chose, and what answers it: gold, and the twins that were spent on it."""

    adversary: str
    forgotten: Samples
    retain: Samples
    gold: Trained
    twins: Twins
    reserve: SpareSet


@dataclass(frozen=True)
class References:
    """What an unlearner's models are audited with, besides gold."""

    original: Trained
    same_procedure: Trained | None


class Demo:
    """Runs every adversary against every unlearner and heals each result in three ways.

    Args:
        setup: data, task and recipe.
        adversaries: names from `ADVERSARIES`.
        unlearners: names from `UNLEARNERS`.
        seed: of everything.
        callbacks: progress of each job.
        say: told, in a few words, what is going on.

    Raises:
        BadInputError: names are unknown, or the data is too small for a reserve and an attack.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        adversaries: Sequence[str] = ADVERSARIES,
        unlearners: Sequence[str] = tuple(UNLEARNERS),
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        problems = Problems("cannot run the demo")
        check_names(problems, adversaries, unlearners)
        problems.require(
            len(setup.samples) >= 20 * setup.task.classes,
            f"{setup.name} has {len(setup.samples)} training samples for {setup.task.classes} classes, too few to hold "
            f"a reserve back and to forget some: give at least {20 * setup.task.classes}",
        )
        problems.raise_any()
        self.setup = setup
        self.adversaries = tuple(dict.fromkeys(adversaries))
        self.unlearners = tuple(dict.fromkeys(unlearners))
        self.seed = seed
        self.callbacks = callbacks
        self.say = say
        self.samples, self.spares = setup.samples.split(reserve=RESERVE, seed=seed)
        self.results = Results(
            setup.name,
            environment(
                dataset=setup.name,
                started=datetime.now(UTC).isoformat(timespec="seconds"),
                seed=seed,
                training_samples=len(self.samples),
                reserve=len(self.spares),
                test_samples=len(setup.test),
                model=type(setup.task.build()).__name__,
                parameters=setup.task.signature()["parameters"],
                recipe=setup.recipe.to_json(),
                healer={s: repr(Healer(strategy=s)) for s in STRATEGIES},
                unlearners={name: repr(UNLEARNERS[name]()) for name in self.unlearners},
            ),
        )

    def run(self, save: Callable[[Results], None] = lambda _: None) -> Results:
        """Do it all; ``save`` is called after each adversary with what there is so far."""
        self.say(f"training the original on {len(self.samples):,} samples, {len(self.spares):,} held back")
        original = fit(
            self.setup.task,
            self.samples,
            self.setup.recipe,
            seed=self.seed,
            callbacks=self.callbacks,
            what="original",
        )
        precision = str(original.machine.precision).removeprefix("torch.")
        self.results.environment |= {"device": str(original.machine.device), "precision": precision}
        originals = dict.fromkeys(self.unlearners, original)
        if "sisa" in originals:
            self.say("training SISA's shards")
            originals["sisa"] = Sisa().fit(
                self.setup.task, self.samples, self.setup.recipe, seed=self.seed, callbacks=self.callbacks
            )
        for adversary in self.adversaries:
            self._face(adversary, original, originals)
            save(self.results)
        return self.results

    def _face(self, adversary: str, original: Trained, originals: dict[str, Trained]) -> None:
        self.say(f"{adversary}: choosing what to have forgotten")
        wanted = choose(adversary, original, self.samples, self.setup.test, self.seed)
        forgotten, retain = self.samples.only(wanted), self.samples.without(wanted)
        self.say(f"{adversary}: training gold without the {len(forgotten):,} forgotten")
        gold = Retrain().unlearn(original, self.samples, wanted, callbacks=self.callbacks)
        # Each attack is a story of its own, and meets a full reserve.
        reserve = SpareSet(self.spares, Cosine(Features()), shortfall="partial")
        twins = reserve.match(forgotten, original)
        reserve.spend(twins)
        attack = Attack(adversary, forgotten, retain, gold, twins, reserve)
        self._note(attack)
        for name, before in originals.items():
            self._answer(attack, name, before)

    def _answer(self, attack: Attack, name: str, before: Trained) -> None:
        """One unlearner's answer to one attack: unlearned, and healed in each way."""
        if name == "retrain":
            unlearned = attack.gold  # the same call with the same seed: gold, to the bit
        else:
            self.say(f"{attack.adversary}: unlearning with {name}")
            unlearned = UNLEARNERS[name]().unlearn(before, self.samples, attack.forgotten.ids, callbacks=self.callbacks)
        # SISA's own unlearning is, to the bit, what training its shards without the forgotten gives.
        references = References(before, unlearned if name == "sisa" else None)
        self._record(attack, name, references, before, "original")
        self._record(attack, name, references, attack.gold, "gold")
        self._record(attack, name, references, unlearned, "unlearned")
        for strategy in STRATEGIES:
            if strategy == "twins" and attack.twins.samples is None:
                continue
            self.say(f"{attack.adversary}: healing {name} with {strategy}")
            try:
                healed = Healer(strategy=strategy).heal(
                    unlearned, retain=attack.retain, twins=attack.twins.samples, callbacks=self.callbacks
                )
            except DivergedError as error:
                self.results.notes.append(f"{attack.adversary}: healing {name} with {strategy} failed: {error}.")
                continue
            self._record(attack, name, references, healed, "healed", strategy)

    def _record(
        self,
        attack: Attack,
        unlearner: str,
        references: References,
        trained: Trained,
        stage: Stage,
        healer: Strategy | None = None,
    ) -> None:
        test, forgotten, task = self.setup.test, attack.forgotten, self.setup.task
        on_test, on_forgotten = trained.evaluate(test), trained.evaluate(forgotten)
        verdict: Verdict | None = None
        if stage != "gold":
            verdict = audit(
                trained,
                forgotten=forgotten,
                test=test,
                gold=attack.gold,
                same_procedure=references.same_procedure,
                original=references.original,
            )
        used_twins = stage == "healed" and Healer(strategy=healer or "retain").uses_twins
        event = trained.history[-1]
        self.results.rows.append(
            Row(
                dataset=self.setup.name,
                adversary=attack.adversary,
                unlearner=unlearner,
                healer=healer,
                stage=stage,
                seed=self.seed,
                test_accuracy=100 * float(on_test.scores.mean()),
                forget_accuracy=100 * float(on_forgotten.scores.mean()),
                membership_auc=membership_auc(
                    on_forgotten.margins,
                    on_test.margins,
                    task.labels(forgotten.targets),
                    task.labels(test.targets),
                ),
                steps=event.steps,
                seconds=event.seconds,
                forget_size=len(forgotten),
                reserve_left=len(attack.reserve if used_twins else self.spares),
                whole=verdict.whole if verdict else None,
                forgotten=verdict.forgotten if verdict else None,
            )
        )

    def _note(self, attack: Attack) -> None:
        twins, names = attack.twins, self.samples.classes
        if twins.missing:
            self.results.notes.append(
                f"{attack.adversary}: {len(attack.forgotten):,} samples were forgotten, but only {len(twins):,} spares "
                f"of their classes were in the reserve; healing used what there was."
            )
        shown = [i for i in attack.forgotten.ids if i in twins.spare_of][:PAIRS_SHOWN]
        for sample in shown:
            one, other = self.samples.only([sample]), self.spares.only([twins.spare_of[sample]])
            if one.dtype != torch.uint8 or len(one.shape) != 3:
                return
            label = int(one.targets[0])
            self.results.twins.append(
                TwinPair(
                    attack.adversary,
                    sample,
                    twins.spare_of[sample],
                    names[label] if names else str(label),
                    twins.distances[sample],
                    as_png(one.inputs[0].numpy()),
                    as_png(other.inputs[0].numpy()),
                )
            )


def choose(name: str, trained: Trained, samples: Samples, validation: Samples, seed: int) -> tuple[str, ...]:
    """What the adversary of this name wants forgotten; each is shown its own view and no more."""
    if name == "random":
        return attackers.Random(BUDGET, seed=seed).choose(BlindView(samples))
    if name == "blind":
        return attackers.OneClass(BUDGET, seed=seed).choose(BlindView(samples))
    if name == "output-aware":
        return attackers.OutputAware(BUDGET).choose(OutputView(trained, samples))
    return attackers.ParameterAware(BUDGET).choose(ParameterView(trained, samples, validation=validation))


def check_names(problems: Problems, adversaries: Iterable[str], unlearners: Iterable[str]) -> None:
    """Note every name that is unknown."""
    for kind, given, known in (
        ("adversary", adversaries, ADVERSARIES),
        ("unlearner", unlearners, tuple(UNLEARNERS)),
    ):
        unknown = [name for name in given if name not in known]
        problems.require(not unknown, f"unknown {kind} {', '.join(unknown)}; choose from {', '.join(known)}")


def write(results: Results, folder: Path) -> None:
    """Write ``report.json`` and ``report.html`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    results.write_json(folder / "report.json")
    write_report(results, folder / "report.html")
