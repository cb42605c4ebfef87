"""Request: what is asked of an audit, as a person names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What is asked of an audit, as a person names it; nothing of it is read yet.

    Args:
        model: the model audited: a folder that `Trained.save` wrote, or a state dict (``.safetensors``).
        forget: the ids that it should have forgotten: separated by commas, or a file with one a line (a path, ``@`` may
            stand before it).
        out: the folder that the verdict and the page are written to.
        dataset: a data set of the lab, with its default model and recipe, or a folder of images.
        data: the data set's files.
        task: ``package.module:name`` of a `Task`, or of what makes one; by default the data set's.
        samples: ``package.module:name`` of `Samples`, or of what makes them: the training samples; spares that were
            held back may be among them.
        test: the same of test samples.
        unseen: the same of samples that no model here was trained on.
        reserve: how much of the samples was held back (a share, or a number from 1), where no model's record says.
        seed: of that split (``samples.split(reserve=…, seed=…)``), of shadow models and of relearning.
        gold: models retrained without the forgotten, in either form: the first is what differences are from; more, of
            other seeds, widen intervals by what another seed does, where a measure can tell.
        original: models before unlearning, in either form: the first is the control; more, of other seeds, are what
            ``like`` were made of.
        like: models made the same way as the one audited, from other seeds: margins are then compared over all of them
            with those over all golds (KLOM), which takes four golds and, where there is an original, two of these.
        recipe: of training, as JSON, or a file of it; by default as a record or the data set says.
        shadows: how many shadow models are trained for the attack sample by sample; 0 for none.
        attack: with which attacks, sample by sample: ``"rmia"``, ``"lira"``; by default the first.
        relearning: whether it is measured how soon the forgotten are relearned.
        tolerance: ``name=value`` of `Tolerance`'s.
        cache: the folder where shadow models are kept; by default ``shadows`` in ``out``.
    """

    model: Path
    forget: str
    out: Path
    dataset: str | None = None
    data: Path | None = None
    task: str | None = None
    samples: str | None = None
    test: str | None = None
    unseen: str | None = None
    reserve: float | None = None
    seed: int = 0
    gold: tuple[Path, ...] = ()
    original: tuple[Path, ...] = ()
    like: tuple[Path, ...] = ()
    recipe: str | None = None
    shadows: int = 0
    attack: tuple[str, ...] = ()
    relearning: bool = False
    tolerance: tuple[str, ...] = ()
    cache: Path | None = None

    @property
    def forget_file(self) -> Path | None:
        """The file that names the forgotten; None where they are listed."""
        if self.forget.startswith("@"):
            return Path(self.forget[1:])
        try:
            return Path(self.forget) if Path(self.forget).is_file() else None
        except OSError:  # a long list is no name of a file
            return None

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks that shadow models serve, each once; none without shadow models."""
        return tuple(dict.fromkeys(self.attack or ("rmia",))) if self.shadows else ()

    @property
    def shadows_folder(self) -> Path:
        """Where shadow models are kept."""
        return self.cache if self.cache is not None else self.out / "shadows"
