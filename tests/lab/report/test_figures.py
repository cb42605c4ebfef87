import numpy as np
from tests.support.results import made_results

from unscathed.lab.report.cases import cases
from unscathed.lab.report.figures import accuracy_figures, forgetting_figures
from unscathed.lab.report.wording import Voice

VOICE = Voice(shares=True, digits=1)
BUT = {("parameter-aware", "fisher", "unlearned"): {"test_accuracy": 20.0, "forget_accuracy": 10.0}}


def test_accuracy_goes_from_stage_to_stage_and_the_control_stands_apart() -> None:
    figure = accuracy_figures(cases(made_results(unlearners=["fisher"])), VOICE)["random"]
    way, control = figure.data
    assert list(way.y) == [91.25, 84.75, 90.25]
    assert "lines" in way.mode
    assert list(control.y) == [89.75]
    assert "lines" not in control.mode
    assert [(line.y0, line.y1) for line in figure.layout.shapes] == [(90.5, 90.5)]


def test_forgetting_shows_every_stage_on_its_unlearners_row() -> None:
    figure = forgetting_figures(cases(made_results()), VOICE)["random"]
    assert [list(trace.x) for trace in figure.data] == [[97.5, 66.25, 63.75, 61.25, 65.0]] * 2
    for row, trace in enumerate(figure.data):
        assert np.all(np.abs(np.array(trace.y) + row) < 0.5)
    assert 62.5 in [line.x0 for line in figure.layout.shapes if line.x0 == line.x1]


def test_all_adversaries_share_a_scale_that_holds_every_point() -> None:
    found = cases(made_results(but=BUT))
    accuracy, forgetting = accuracy_figures(found, VOICE), forgetting_figures(found, VOICE)
    scales = {tuple(figure.layout.yaxis.range) for figure in accuracy.values()}
    assert len(scales) == 1
    assert min(scales)[0] < 20.0
    scales = {tuple(figure.layout.xaxis.range) for figure in forgetting.values()}
    assert len(scales) == 1
    assert min(scales)[0] < 10.0


def test_an_unlearner_keeps_its_colour() -> None:
    found = cases(made_results(unlearners=["fisher", "mine", "yours"]))
    drawn = [*accuracy_figures(found, VOICE).values(), *forgetting_figures(found, VOICE).values()]
    colours: dict[str, set[str]] = {}
    for figure in drawn:
        for trace in figure.data:
            colours.setdefault(trace.text[0].split("</b>")[0], set()).add(trace.marker.color)
    assert [len(used) for used in colours.values()] == [1, 1, 1]
    assert len(set.union(*colours.values())) == 3


def test_several_seeds_are_means_with_whiskers() -> None:
    figure = accuracy_figures(cases(made_results(unlearners=["fisher"], seeds=[0, 1, 2], spread=3.0)), VOICE)["random"]
    way, control = figure.data
    assert list(way.y) == [94.25, 87.75, 93.25]
    # Values 3 points apart: standard error 3/sqrt(3), t = 4.303.
    np.testing.assert_allclose(way.error_y.array, [4.30265 * 3**0.5] * 3, rtol=1e-5)
    assert "± 7.5 %" in control.text[0]
    assert "3 seeds" in control.text[0]
    known = forgetting_figures(cases(made_results(seeds=[0, 1], spread=3.0)), VOICE)["random"]
    assert known.data[0].error_x.array is not None
    alone = accuracy_figures(cases(made_results(unlearners=["fisher"])), VOICE)["random"]
    assert alone.data[0].error_y.array is None
