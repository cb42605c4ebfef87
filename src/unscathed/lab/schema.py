"""Schema: what the files of a results folder hold, column by column."""

from __future__ import annotations

import pyarrow as pa

FORMAT = 1
"""Of the measurements, as each of their rows says; a reader refuses what is newer than it knows."""

AXES = ("dataset", "model", "recipe", "task", "reserve", "adversary", "unlearner", "healer", "similarity", "seed")
"""What tells one cell of a grid from another, besides its stage; unlearner, healer and similarity may be null."""

STAGES = ("original", "gold", "unlearned", "healed")
"""In the order of a model's life; gold beside the original, since unlearning is measured against it."""


def _column(name: str, kind: pa.DataType, what: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"description": what})


_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()

SCHEMA = pa.schema(
    [
        _column("experiment", _TEXT, "the experiment's name"),
        _column("dataset", _TEXT, "canonical constructor text, as of every component: only what the file gave"),
        _column("model", _TEXT, "the network"),
        _column("recipe", _TEXT, "how it is trained"),
        _column("task", _TEXT, "what is learned"),
        _column("reserve", _TEXT, "how spares are held back, how many"),
        _column("similarity", _TEXT, "how twins are found; null: the same for every similarity", null=True),
        _column("adversary", _TEXT, "who chose the forget set, and its budget"),
        _column("unlearner", _TEXT, "the method; null: the same for every unlearner (gold, the original)", null=True),
        _column("healer", _TEXT, "the healer; null: the same for every healer (all stages but healed)", null=True),
        _column("stage", _TEXT, "original, gold, unlearned or healed"),
        _column("seed", _WHOLE, "of the whole cell; the parts' own seeds are derived from it, below"),
        _column("measure", _TEXT, "what was measured, e.g. test_accuracy (percent), test_loss (nats), membership_auc"),
        _column("value", _REAL, "in the measure's unit; an audit's word is 1 pass, 0 fail, NaN not enough evidence"),
        _column("outcome", _TEXT, "an audit's word: pass, fail, not enough evidence; null for a number", null=True),
        _column("steps", _WHOLE, "gradient steps, or what passes are worth in them, of this stage alone"),
        _column("wall_seconds", _REAL, "of this stage alone; gold's is of its whole training"),
        _column("cpu_seconds", _REAL, "of this stage alone, all threads together"),
        _column("peak_memory", _WHOLE, "the most that the process held during this stage, bytes"),
        _column("training_samples", _WHOLE, "that the original was trained on"),
        _column("reserve_size", _WHOLE, "spares held back"),
        _column("test_samples", _WHOLE, "that test measures are means over"),
        _column("forget_size", _WHOLE, "samples that the adversary asked to be forgotten"),
        _column("parameters", _WHOLE, "of the network"),
        _column("split_seed", _WHOLE, "of holding the reserve back"),
        _column("training_seed", _WHOLE, "of training the original and gold"),
        _column("adversary_seed", _WHOLE, "of the adversary's draws"),
        _column("unlearner_seed", _WHOLE, "of unlearning and healing"),
        _column("key", _TEXT, "of the cached model that was measured"),
        _column("code", _TEXT, "digest of the code that made it"),
        _column("commit", _TEXT, "of the working copy; empty outside one"),
        _column("versions", _TEXT, "of Python and of libraries, JSON"),
        _column("platform", _TEXT, "the operating system"),
        _column("processor", _TEXT, "its name"),
        _column("cores", _WHOLE, "of the machine"),
        _column("threads", _WHOLE, "that this model was made with"),
        _column("accelerator", _TEXT, "its name; null where there is none", null=True),
        _column("device", _TEXT, "that the model was made on, e.g. cpu, cuda:0"),
        _column("precision", _TEXT, "of training, e.g. bfloat16"),
        _column("command", _TEXT, "that started the run"),
        _column("started", _TEXT, "when this measurement started: ISO 8601, UTC; of double rows the newest counts"),
        _column("config", _TEXT, "every component with all its arguments, defaults too, JSON"),
        _column("format", _WHOLE, "of this file"),
    ]
)
"""``measurements/*.parquet``: one row a measurement, one file a model measured on one forget set.

A null in a component's column means *the same for every value of that axis*: gold has neither unlearner, healer nor
similarity. Where both are there, a row that names a component takes precedence for it: SISA's own original, over the
plain one.
"""

TWINS = pa.schema(
    [
        _column("dataset", _TEXT, "as in SCHEMA"),
        _column("adversary", _TEXT, "as in SCHEMA"),
        _column("seed", _WHOLE, "as in SCHEMA"),
        _column("forgotten", _TEXT, "the forgotten sample's id"),
        _column("twin", _TEXT, "the id of the spare that took its place"),
        _column("label", _TEXT, "the class of both, or what stands for it"),
        _column("distance", _REAL, "by the similarity that matched them"),
        _column("forgotten_image", pa.binary(), "PNG; null where the samples are no images", null=True),
        _column("twin_image", pa.binary(), "PNG; null where the samples are no images", null=True),
    ]
)
"""``twins/*.parquet``: a few pairs of each forget set, at most six a file."""


def describe() -> dict[str, str]:
    """What each column of the measurements holds."""
    return {field.name: field.metadata[b"description"].decode() for field in SCHEMA}
