"""What the README and the guide show runs from the wheel, without the source tree beside it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it; dependencies are shared with this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(folder / "site"), str(wheel)], check=True, capture_output=True)
    return folder / "site"


def run(code: list[str], site: Path, folder: Path) -> str:
    """Run Python from the wheel, in a folder of its own."""
    found = subprocess.run(
        [sys.executable, *code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def blocks(document: str) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("README.md", "whole: "),
        ("docs/guide.md", "There is no gold here"),
        ("docs/reserve.md", "25 twins"),
        ("docs/adversaries.md", "safer road"),
        ("docs/healing.md", "rounds"),
        ("docs/audits.md", "head start in relearning: 8"),
    ],
)
def test_documents_run_from_the_wheel(document: str, words: str, installed: Path, tmp_path: Path) -> None:
    code = blocks(document)
    assert code.count("\n") >= 10
    where = "\nimport sys; print('from', us.__file__)"
    printed = run(["-c", code + where], installed, tmp_path)
    assert words in printed
    assert f"from {installed}" in printed


def test_the_lab_guide_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs/lab.md").read_text()
    (file,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "grid.toml").write_text(file.replace("seeds = 3 ", "seeds = 1 ") + "recipe = { epochs = 1 }\n")
    printed = run(["-c", blocks("docs/lab.md")], installed, tmp_path)
    assert "| Influence |" in printed
    assert "torch.Size([4, 1438])" in printed


def test_the_console_script_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    start = "from unscathed.cli import app; app()"
    arguments = ["demo", "--adversary", "random", "--unlearner", "fisher", "--out", "here"]
    printed = run(["-c", start, *arguments], installed, tmp_path)
    assert "Open the report: here/report.html" in printed
    assert (tmp_path / "here" / "report.html").stat().st_size > 1_000_000
    assert (
        "unscathed.cli:app" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["unscathed"]
    )


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "experiments/README.md",
        *sorted(f"docs/{place.name}" for place in (ROOT / "docs").glob("*.md")),
    ],
)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / document).parent / target).exists(), target


def test_all_public_names_are_there() -> None:
    import unscathed

    assert unscathed.__all__ == sorted(unscathed.__all__, key=lambda name: (name.islower(), name.lower()))
    assert all(hasattr(unscathed, name) for name in unscathed.__all__)
