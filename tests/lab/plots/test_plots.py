import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tests.support.folders import ALONE, AWARE, BOTH, CONTROL, RANDOM, made_models, write_folder

from unscathed import BadInputError
from unscathed.lab.frames import read
from unscathed.lab.look import COLOURS, colours
from unscathed.lab.plots import forgetting, plot, price, stages, susceptibility
from unscathed.lab.plots.write import figures

BUDGETS = ["Random(budget=0.05)", "Random(budget=0.1)", "Random(budget=0.3)"]


def frame_of(folder: Path, **grid: Any) -> pd.DataFrame:
    return read(write_folder(folder, made_models(**grid)))


def drawn(figure: Figure, panel: int = 0) -> set[tuple[float, float]]:
    """All points of a panel that have a marker, rounded."""
    return {
        (round(float(x), 2), round(float(y), 2))
        for line in figure.axes[panel].lines
        if line.get_marker() not in ("None", "", ".")
        for x, y in zip(np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata()), strict=True)
    }


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))  # type: ignore[attr-defined]


def test_stages_shows_every_state_of_every_unlearner(tmp_path: Path) -> None:
    figure = stages(frame_of(tmp_path, unlearners=["Fisher"]))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["random", "parameter-aware"]
    assert drawn(figure) == {(0, 91.25), (1, 90.5), (2, 84.75), (3, 90.25), (4, 89.75), (5, 88.5)}
    assert "one seed, no interval" in texts(figure)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["original", "gold", "unlearned", "retain + twins", "retain", "twins"]


def test_whiskers_and_seeds_are_drawn_where_there_are_several(tmp_path: Path) -> None:
    models = [
        {**m, "measures": {"test_accuracy": 90.0 + m["seed"]}}
        for m in made_models(adversaries=[RANDOM], unlearners=["Fisher"], seeds=[0, 1, 2], healers=[BOTH])
    ]
    figure = stages(read(write_folder(tmp_path, models)))
    lines = figure.axes[0].lines
    whisker = next(line for line in lines if len(line.get_xdata()) == 2 and set(line.get_xdata()) == {2})
    half = 4.30265 / 3**0.5
    np.testing.assert_allclose(whisker.get_ydata(), [91 - half, 91 + half], rtol=1e-5)
    dots = [line for line in lines if line.get_marker() == "."]
    assert [sorted(line.get_ydata()) for line in dots] == [[90, 91, 92]] * 3
    assert "n = 3" in texts(figure)


def test_susceptibility_goes_over_the_share_forgotten(tmp_path: Path) -> None:
    models = made_models(adversaries=[*BUDGETS, AWARE], unlearners=["Fisher", "Sisa"], seeds=[0, 1])
    for model in models:
        share = float(re.findall(r"0\.\d+", model["adversary"])[0])
        model["forget_size"] = int(share * 900)
        model["measures"]["test_accuracy"] -= 100 * share
    figure = susceptibility(read(write_folder(tmp_path, models)))
    columns = ["unlearned", "healed, retain + twins", "healed, retain", "healed, twins"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == columns
    assert figure.axes[0].get_ylabel() == "random"
    assert drawn(figure) == {(5.0, 79.75), (10.0, 74.75), (30.0, 54.75)}
    gold = next(line for line in figure.axes[0].lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(gold.get_ydata(), [85.5, 80.5, 60.5])
    with pytest.raises(BadInputError, match="no adversary has several budgets"):
        susceptibility(frame_of(tmp_path / "one"))


def test_forgetting_is_the_difference_from_gold(tmp_path: Path) -> None:
    figure = forgetting(frame_of(tmp_path, unlearners=["Retrain", "Fisher"]))
    assert {x for x, _ in drawn(figure)} == {35.0, 3.75, 1.25, -1.25, 2.5}
    assert {round(y) for _, y in drawn(figure)} == {0, -1}
    assert "gold: 62.5 %" in texts(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Retrain", "Fisher"]


def test_price_is_a_share_of_golds(tmp_path: Path) -> None:
    figure = price(frame_of(tmp_path, adversaries=[RANDOM], unlearners=["Fisher"], healers=[BOTH, CONTROL]))
    steps, seconds = drawn(figure, 0), drawn(figure, 1)
    assert steps == {(round(20 / 380, 2), -5.75), (round(60 / 380, 2), -0.25), (round(60 / 380, 2), -0.75)}
    assert seconds == {(round(0.5 / 4, 2), -5.75), (0.25, -0.25), (0.25, -0.75)}


def test_healers_and_similarities_beyond_the_usual_have_signs_of_their_own(tmp_path: Path) -> None:
    healers = [BOTH, "Healer(steps=9)", CONTROL, "Healer(steps=9, strategy='retain')"]
    once = made_models(unlearners=["Fisher"], healers=[BOTH])
    models = [{**m, "healer": healer} for m in once for healer in (healers if m["stage"] == "healed" else [None])]
    frame = read(write_folder(tmp_path, models))
    figure = forgetting(frame)
    assert "retain (steps=9)" in texts(figure)
    signs = {line.get_marker() for line in figure.axes[0].lines if line.get_marker() not in ("None", "", ".")}
    assert len(signs) == len({"original", "unlearned"}) + len(healers) - 1  # a full circle and a hollow one


def test_a_task_without_accuracies_has_plots_of_its_scores(tmp_path: Path) -> None:
    models = made_models(unlearners=["Fisher"])
    for model in models:
        test, forget = (model["measures"].pop(f"{part}_accuracy") for part in ("test", "forget"))
        model["measures"] |= {"test_score": -test / 100, "forget_score": -forget / 100}
    frame = read(write_folder(tmp_path, models))
    assert figure_label(stages(frame)) == "test score"
    assert (2.0, -0.85) in drawn(stages(frame))
    bare = [{**m, "measures": {"membership_auc": 0.5}} for m in models]
    with pytest.raises(BadInputError, match="cannot draw any plot"):
        plot(read(write_folder(tmp_path / "bare", bare)), tmp_path / "out")


def figure_label(figure: Figure) -> str:
    return figure.get_supylabel()  # type: ignore[no-any-return]


def test_all_plots_are_written_twice_and_the_same_each_time(tmp_path: Path) -> None:
    frame = frame_of(
        tmp_path, datasets=["toy", "mnist"], adversaries=[RANDOM], unlearners=["Fisher"], healers=[BOTH, ALONE]
    )
    files = plot(frame, tmp_path / "out")
    names = [f"{kind}-{dataset}" for dataset in ("mnist", "toy") for kind in ("stages", "forgetting", "price")]
    assert [file.name for file in files] == [f"{name}.{kind}" for name in names for kind in ("svg", "png")]
    assert all(Image.open(file).width > 800 for file in files if file.suffix == ".png")
    again = plot(frame, tmp_path / "again")
    assert [a.read_bytes() for a in files if a.suffix == ".svg"] == [
        b.read_bytes() for b in again if b.suffix == ".svg"
    ]


def test_many_adversaries_are_drawn_a_kind_at_a_time(tmp_path: Path) -> None:
    adversaries = [f"{kind}(budget={share})" for kind in ("Random", "OneClass") for share in (0.01, 0.1, 0.3)]
    frame = frame_of(tmp_path, adversaries=adversaries, unlearners=["Fisher"], healers=[BOTH])
    assert [name for name, _ in figures(frame)] == [
        "susceptibility", "stages-random", "forgetting-random", "price-random", "stages-blind", "forgetting-blind",
        "price-blind",
    ]  # fmt: skip


def test_unlearners_keep_their_colours() -> None:
    assert colours(["SISA", "Fisher"]) == {name: COLOURS[name] for name in ("SISA", "Fisher")}
    many = colours(["SISA (shards=3)", "SISA (shards=5)", "Mine", "Fisher"])
    assert many["SISA (shards=3)"] == COLOURS["SISA"]
    assert many["Fisher"] == COLOURS["Fisher"]
    assert len(set(many.values())) == 4
