"""Grounds: what a verdict rests on, in sentences for whoever must rely on it."""

from __future__ import annotations

from unscathed.lab.auditing.prepare import Prepared
from unscathed.lab.auditing.request import AuditRequest

SPOKEN = {"model": "the model audited", "original": "the original"}


def grounds(request: AuditRequest, prepared: Prepared) -> list[str]:
    """What the verdict rests on, a sentence or two each."""
    return [*_references(prepared), *_attacks(request, prepared), *_words(prepared), *_copies(prepared)]


def _references(prepared: Prepared) -> list[str]:
    models, unseen = prepared.models, f"{len(prepared.unseen or ()):,} {prepared.unseen_are}"
    said = []
    if "gold" in models:
        said.append(
            f"Gold: a model retrained without the forgotten, on {len(models['gold'].ids):,} samples. Both questions "
            f"are asked as differences from it. Membership is asked against {unseen} that no model here was trained on."
        )
        if len(prepared.golds) > 1:
            said.append(
                f"{len(prepared.golds)} golds, of several seeds: how far they differ is in the intervals of relearning "
                "and of attacks sample by sample; other checks compare with the first."
            )
    else:
        said.append(
            "There is no gold: utility is compared with the original's, and the forgotten are compared with "
            f"{unseen} that no model here was trained on. That is a weaker question than a difference from gold."
        )
    if "original" in models:
        said.append(
            "The original, which never forgot, is audited too: where the checks miss its memory, no model passes them."
        )
    else:
        said.append("Without the original, it is not known whether these checks would have seen its memory.")
    if prepared.test is None:
        said.append("There are no test samples: whether the model is whole is left open.")
    return said


def _attacks(request: AuditRequest, prepared: Prepared) -> list[str]:
    said = []
    if request.shadows:
        said.append(
            f"{request.shadows} shadow models, trained with the recipe on halves of {len(prepared.drawn_from):,} "
            "samples, tell for each sample what having been trained on it looks like."
        )
    else:
        said.append(
            "Membership was looked at by a population attack alone, which is weak: that it finds nothing is no proof. "
            "With --shadows 16 it is asked sample by sample."
        )
    if request.like:
        said.append(
            f"Margins are compared over the model and {len(request.like)} more that were made the same way with those "
            "over all golds: that judges the way of unlearning, not this model alone."
        )
    if not request.relearning:
        said.append("Whether the forgotten come back sooner than they should was not measured (--relearning).")
    return said


def _words(prepared: Prepared) -> list[str]:
    """What is known by somebody's word alone."""
    said = []
    bare = [SPOKEN.get(name, name) for name, form in prepared.forms.items() if form.form == "weights"]
    if bare:
        it = "it was" if len(bare) == 1 else "they were"
        said.append(
            f"Of {' and '.join(bare)} there are weights and no record: what {it} trained on is the word of whoever "
            "asked for this audit."
        )
    forgotten = set(prepared.forgotten.ids)
    own = forgotten & set(prepared.models["model"].ids)
    if own:
        said.append(f"The model's own record still names {len(own)} of the {len(forgotten)} forgotten as its samples.")
    return said


def _copies(prepared: Prepared) -> list[str]:
    copies = prepared.retain.copies_of(prepared.forgotten)
    if not copies:
        return []
    return [
        f"{len(copies)} of the forgotten have exact copies that stay in the training data under other ids: deleting "
        "one copy deletes nothing."
    ]
