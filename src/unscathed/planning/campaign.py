"""Campaign: requests come one after the other, a reserve is spent on them, and a control does without it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from unscathed.healing import Healer
from unscathed.planning.requests import Requests
from unscathed.problems import BadInputError, Problems
from unscathed.reserve import SpareSet, Twins
from unscathed.samples import Samples
from unscathed.similarity import Similarity
from unscathed.task import Task
from unscathed.training import Callback, Recipe, Trained, check_fit, fit
from unscathed.unlearners import Unlearner


@dataclass(frozen=True, kw_only=True, eq=False)
class Campaign:
    """How a model is trained, attacked, unlearned and healed.

    Args:
        task: what the model is for.
        test: held-out samples that scores are of.
        validation: held-out samples whose loss a parameter-aware adversary raises.
        recipe: how it is trained.
        requests: what arrives.
        unlearner: how it forgets.
        healer: how it is made whole.
        similarity: what makes a spare a twin; None for the reserve's default.
    """

    task: Task
    test: Samples
    validation: Samples
    recipe: Recipe
    requests: Requests
    unlearner: Unlearner
    healer: Healer
    similarity: Similarity | None

    def problems(self, samples: Samples) -> list[str]:
        """What keeps it from being run on these samples, one sentence each."""
        problems = Problems("")
        problems.extend(self.requests.problems())
        problems.require(
            self.healer.uses_twins,
            f"{self.healer!r} uses no twins, so that no reserve matters to it; it is the control that is run anyway",
        )
        for name, held_out in (("test", self.test), ("validation", self.validation)):
            if name == "validation" and held_out is self.test:
                continue
            if problems.require(len(held_out) > 0, f"there are no {name} samples"):
                problems.extend(f"{name} {p}" for p in self.task.problems_with(held_out))
                shared = set(held_out.ids) & set(samples.ids)
                problems.require(not shared, f"{len(shared)} {name} samples are training samples, too")
        try:
            check_fit(self.task, samples)
        except ValueError as error:
            problems.extend(getattr(error, "problems", [str(error)]))
        return problems.found

    def run(
        self, samples: Samples, *, share: float, seed: int, scale: float = 1.0, callbacks: Sequence[Callback] = ()
    ) -> Iterator[Standing]:
        """What stands after each request, as long as the caller asks for one more and there is something to forget.

        Requests name samples that were trained on from the start, never spent spares, so that the healed model and
        its control honour the very same requests, and gold is the paper's: the rest of the first training set.

        Args:
            samples: all that there is, before the reserve is held back.
            share: of them that is held back.
            seed: of the split, of training and of who asks.
            scale: the share of the user's data that these samples are; requests of a fixed size shrink with it.
            callbacks: progress.
        """
        train, spares = samples.split(reserve=share, seed=seed)
        standing = self._begin(train, spares, seed, callbacks)
        asking = self.requests.by(seed, scale)
        while asking.count(len(standing.left)) < len(standing.left):
            view = asking.view_type.of(standing.healed, standing.left, validation=self.validation)
            try:
                wanted = asking.choose(view)
            except BadInputError:
                # It finds nothing any more that it would ask for (all of its class is gone, say).
                if not standing.twins:
                    raise
                return
            standing = self._next(standing, wanted, callbacks)
            yield standing

    def _begin(self, train: Samples, spares: Samples, seed: int, callbacks: Sequence[Callback]) -> Standing:
        original = self.train(train, seed, callbacks)
        reserve = SpareSet(spares, self.similarity, shortfall="partial")
        return Standing(self, train, reserve, original, original, original, train, seed)

    def _next(self, before: Standing, wanted: tuple[str, ...], callbacks: Sequence[Callback]) -> Standing:
        left = before.left.without(wanted)
        with warnings.catch_warnings():
            # How well a damaged model's requests go is what is measured here: no need to say so at each of them.
            warnings.filterwarnings("ignore", message="twins are sought by the features of the model before")
            twins = before.reserve.match(before.left.only(wanted), before.healed)
        unlearned = self.unlearner.unlearn(before.healed, before.samples, wanted, callbacks=callbacks)
        samples = before.samples.without(wanted)
        # A healer that knows twins alone has nothing to do where none is left.
        able = self.healer.uses_retain or twins.samples is not None
        # Before anything is spent: what stands in for nobody tells how whole a model is.
        held_out = before.reserve.unspent.without(twins.fresh)
        healed = unlearned
        if able:
            healed = self._heal(self.healer, unlearned, before.healed, samples, twins.samples, held_out, callbacks)
        # A healer that found the model whole has trained on none.
        if twins.samples is not None and set(twins.fresh) & set(healed.ids):
            before.reserve.spend(twins)
            samples = samples + twins.samples

        control = self.unlearner.unlearn(before.control, before.left, wanted, callbacks=callbacks)
        if able:
            steps = healed.history[-1].steps
            alone = replace(self.healer, strategy="retain", epochs=None, until=None, steps=steps)
            control = self._heal(alone, control, before.control, left, None, held_out, callbacks)
        return replace(
            before,
            healed=healed,
            control=control,
            samples=samples,
            forgotten=(*before.forgotten, *wanted),
            twins=(*before.twins, twins),
        )

    @staticmethod
    def _heal(
        healer: Healer,
        unlearned: Trained,
        before: Trained,
        retain: Samples,
        twins: Samples | None,
        held_out: Samples,
        callbacks: Sequence[Callback],
    ) -> Trained:
        return healer.heal(
            unlearned,
            retain=retain if healer.uses_retain else None,
            twins=twins,
            before=before if healer.needs_before else None,
            held_out=held_out if healer.needs_held_out else None,
            callbacks=callbacks,
        )

    def train(self, samples: Samples, seed: int, callbacks: Sequence[Callback], what: str = "fitting") -> Trained:
        """A new model, trained as the unlearner needs it (SISA trains shards)."""
        if self.unlearner.trains_original:
            return self.unlearner.fit(self.task, samples, self.recipe, seed=seed, callbacks=callbacks)
        return fit(self.task, samples, self.recipe, seed=seed, callbacks=callbacks, what=what)


@dataclass(frozen=True, eq=False)
class Standing:
    """What stands after so many requests.

    Args:
        campaign: that it belongs to.
        train: the first training set.
        reserve: spares, of which some are spent.
        original: the model before all requests.
        healed: the model now.
        control: the same requests, healed on retained data alone for as many steps.
        samples: what the healed model holds: what is left of the first training set, and twins.
        seed: of the run.
        forgotten: all ids asked for so far.
        twins: what each request was given.
    """

    campaign: Campaign
    train: Samples
    reserve: SpareSet
    original: Trained
    healed: Trained
    control: Trained
    samples: Samples
    seed: int
    forgotten: tuple[str, ...] = ()
    twins: tuple[Twins, ...] = ()

    @property
    def left(self) -> Samples:
        """What is left of the first training set."""
        return self.train.without(self.forgotten) if self.forgotten else self.train

    def gold(self, callbacks: Sequence[Callback] = ()) -> Trained:
        """The model trained without the forgotten."""
        return self.campaign.train(self.left, self.seed, callbacks, "gold")

    def counts(self, ids: Sequence[str] | None = None) -> Mapping[str, int]:
        """How many of the first training set (or of these ids) are of each class."""
        return by_class(self.campaign.task, self.train if ids is None else self.train.only(ids)) if ids != () else {}


def by_class(task: Task, samples: Samples) -> dict[str, int]:
    """How many samples are of each class, by its name; all under ``"all"`` where there are no classes."""
    labels = task.labels(samples.targets)
    if labels is None:
        return {"all": len(samples)}
    counts = Counter(labels.tolist())
    return {samples.classes[c] if samples.classes else str(c): n for c, n in sorted(counts.items())}


def mean_distance(twins: Sequence[Twins]) -> float:
    """How far twins are from what they stand in for, on average over all of them; NaN where there are none."""
    distances = [far for one in twins for far in one.distances.values()]
    return sum(distances) / len(distances) if distances else float("nan")
