import base64
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.folders import AWARE, RANDOM, made_models, made_pairs, write_folder
from tests.support.results import made_results

from unscathed import BadInputError
from unscathed.lab.report import write_report
from unscathed.lab.results import Results

FETCHES = re.compile(
    r"<script[^>]*\ssrc=|<link\b|<iframe\b|<img[^>]*src=(?![\"']?data:)|@import|url\(\s*[\"']?https?:", re.IGNORECASE
)


def page(results: Results, folder: Path) -> str:
    write_report(results, folder / "report.html")
    return (folder / "report.html").read_text()


def markup(html: str) -> str:
    """The page without what its scripts hold."""
    return re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


def figures(html: str) -> list[float]:
    """All numbers of the table's body, differences left out."""
    body = " ".join(re.findall(r"<tbody>.*?</tbody>", markup(html), flags=re.DOTALL))
    return [float(n) for n in re.findall(r">(\d+\.\d+)×?<", re.sub(r"<small>.*?</small>", "<", body))]


def test_nothing_is_fetched(tmp_path: Path) -> None:
    html = page(made_results(), tmp_path)
    assert not FETCHES.search(markup(html))
    assert not re.search(r"<script\s", html)
    assert "default-src 'none'" in html
    assert html.count("Plotly.newPlot(") >= 4
    # The pattern finds what it is to find.
    assert FETCHES.search('<script async src="https://cdn.plot.ly/plotly.js">')


def test_the_true_numbers_are_shown(tmp_path: Path) -> None:
    html = page(made_results(adversaries=["random"], unlearners=["fisher"]), tmp_path)
    test = [91.2, 90.5, 84.8, 90.2, 89.8, 88.5]
    forgotten = [97.5, 62.5, 66.2, 63.8, 61.2, 65.0]
    assert figures(html) == [*test, *forgotten, 0.523, 0.517, 0.521, 0.16, 0.25]
    assert "<small>−5.8</small>" in html
    assert "The reserve ran out." in html
    assert "Fisher(floor=0.001)" in html


def test_the_plots_hold_the_true_numbers(tmp_path: Path) -> None:
    html = page(made_results(adversaries=["random"], unlearners=["fisher"]), tmp_path)
    start = html.index('Plotly.newPlot("accuracy-0-0", ') + len('Plotly.newPlot("accuracy-0-0", ')
    traces, _ = json.JSONDecoder().raw_decode(html[start:])
    assert [trace["y"] for trace in traces] == [[91.25, 84.75, 90.25], [89.75]]


def test_ten_thousand_test_samples_earn_a_second_decimal(tmp_path: Path) -> None:
    html = page(made_results(environment={"test_samples": 10_000}), tmp_path)
    assert {91.25, 84.75, 66.25} <= set(figures(html))


@pytest.mark.parametrize("kind", ["class", "adversary", "unlearner", "dataset", "note"])
def test_names_are_escaped(kind: str, tmp_path: Path) -> None:
    name = "<b>x</b></script>"
    results = made_results(
        adversaries=[name if kind == "adversary" else "random"],
        unlearners=[name if kind == "unlearner" else "fisher"],
        label=name if kind == "class" else "seven",
    )
    results.dataset = name if kind == "dataset" else "toy"
    results.notes = [name] if kind == "note" else []
    html = page(results, tmp_path)
    assert name not in html
    assert "<b>x" not in html
    assert "&lt;b&gt;x&lt;/b&gt;&lt;/script&gt;" in markup(html)


def test_twins_are_shown_as_they_are(tmp_path: Path) -> None:
    results = made_results(adversaries=["random"])
    html = page(results, tmp_path)
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in found]
    pixels = np.arange(192, dtype=np.uint8).reshape(3, 8, 8)
    np.testing.assert_array_equal(shown[0], pixels.transpose(1, 2, 0))
    np.testing.assert_array_equal(shown[1], pixels[0])
    assert "seven · distance 0.125" in html


@pytest.mark.parametrize("without", [("twins",), ("retain",), ("retain+twins", "twins"), ("gold",), ("unlearned",)])
def test_what_was_not_measured_is_a_dash(without: tuple[str, ...], tmp_path: Path) -> None:
    results = made_results(without=without)
    results.twins = []
    html = page(results, tmp_path)
    assert "–<small>" in html
    assert "<h2>The twins</h2>" not in html


def test_a_run_without_results_has_a_page(tmp_path: Path) -> None:
    assert "Nothing was measured on toy yet." in page(made_results(adversaries=[]), tmp_path)


def test_sisa_is_explained_only_where_it_ran(tmp_path: Path) -> None:
    assert "own retraining" in markup(page(made_results(unlearners=["sisa"]), tmp_path))
    assert "own retraining" not in markup(page(made_results(), tmp_path))


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(results: Results) -> str:
        raise RuntimeError

    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr("unscathed.lab.report.page.lead", broken)
    with pytest.raises(RuntimeError):
        write_report(made_results(), tmp_path / "report.html")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.html", "old")]


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(BadInputError) as caught:
        write_report(made_results(), tmp_path / "report.html")
    assert caught.value.what == "cannot write the report"
    assert caught.value.problems == ("plotly is missing; pip install 'unscathed[lab]'",)
    assert not list(tmp_path.iterdir())


def of_folder(folder: Path, **grid: Any) -> str:
    write_folder(folder, made_models(**grid), twins=made_pairs())
    write_report(folder, folder / "report.html")
    return (folder / "report.html").read_text()


def cells(html: str) -> list[list[str]]:
    """The lines of the table of all cells."""
    body = html[html.index('<table id="grid">') :]
    lines = re.findall(r"<tr>(.*?)</tr>", body[: body.index("</table>")], flags=re.DOTALL)[1:]
    return [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in lines]


def test_a_folder_of_one_run_is_the_page_of_one_run(tmp_path: Path) -> None:
    html = of_folder(tmp_path, adversaries=[RANDOM], unlearners=["Fisher"])
    test = [91.2, 90.5, 84.8, 90.2, 89.8, 88.5]
    forgotten = [97.5, 62.5, 66.2, 63.8, 61.2, 65.0]
    assert figures(html) == [*test, *forgotten, 0.523, 0.517, 0.521, 0.16, 0.25]
    assert "Unlearning and healing on toy" in html
    assert "seven · distance 0.125" in html
    assert 'id="grid"' not in html
    assert 'class="still"' not in html
    assert "random: 80 samples were forgotten, but only 40 spares" in html


def test_several_seeds_are_means_with_intervals_and_every_cell_is_listed(tmp_path: Path) -> None:
    html = of_folder(tmp_path, adversaries=[RANDOM], unlearners=["Fisher"], seeds=[0, 1, 2], spread=1.0)
    assert not FETCHES.search(markup(html))
    assert "<b>means over 3 seeds</b>" in html
    assert re.search(r"<small>−5\.\d<br>± \d\.\d</small>", html)
    found = cells(html)
    assert [line[3] for line in found] == [
        "original", "gold", "unlearned", "healed, retain + twins", "healed, retain", "healed, twins",
    ]  # fmt: skip
    assert all(re.fullmatch(r"\d\d\.\d ± \d\.\d", line[5]) for line in found)
    assert [line[4] for line in found] == ["3"] * 6
    assert html.count('class="still"') == 1


def test_a_grid_has_a_section_for_each_setting(tmp_path: Path) -> None:
    budgets = [RANDOM, "Random(budget=0.3)"]
    html = of_folder(tmp_path, datasets=["toy", "mnist"], adversaries=budgets, unlearners=["Sisa", "Fisher"])
    assert not FETCHES.search(markup(html))
    assert re.findall(r'<section class="setting" id="setting-\d">\s*<h2>(.*?)</h2>', html) == ["MNIST", "toy"]
    assert "2 data sets, 2 adversaries, 2 unlearners and 3 healers" in html
    found = cells(html)
    # Two originals (SISA has its own), gold, and two unlearners with four models each.
    assert len(found) == 2 * 2 * (2 + 1 + 2 * 4)
    assert {line[0] for line in found} == {"MNIST", "toy"}
    assert {line[1] for line in found} == {"random 5\N{NO-BREAK SPACE}%", "random 30\N{NO-BREAK SPACE}%"}
    assert html.count('alt="susceptibility') == 2
    assert html.count("Plotly.newPlot(") == 2 * 2 * 2


def test_many_adversaries_are_still_figures(tmp_path: Path) -> None:
    adversaries = [f"{kind}(budget=0.{n})" for kind in ("Random", "OneClass", "OutputAware") for n in (1, 2, 3)]
    html = of_folder(tmp_path, adversaries=adversaries, unlearners=["Fisher"])
    assert "Plotly.newPlot(" not in html
    assert len(html) < 4_000_000
    assert html.count('class="still"') == 1 + 3 * 3
    assert "<details><summary>All numbers, 9 adversaries</summary>" in html


def test_cells_are_sorted_by_numbers_and_what_is_missing_has_none(tmp_path: Path) -> None:
    html = of_folder(tmp_path, adversaries=[AWARE], unlearners=["Fisher"], seeds=[0, 1])
    assert '<td data-key="84.75">84.8 ± 0.0</td>' in html
    assert '<td data-key="">–</td>' in html


def test_a_measure_that_is_missing_is_a_dash(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], unlearners=["Fisher"], seeds=[0, 1])
    for model in models:
        del model["measures"]["membership_auc"]
    write_report(write_folder(tmp_path, models), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert {line[9] for line in cells(html)} == {"–"}
    assert "nan" not in markup(html).lower()
