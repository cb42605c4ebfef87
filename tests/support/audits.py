"""Audits from the command line: models on disk, and what a run gave."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from unscathed.cli import app
from unscathed.lab.auditing import AuditRequest


@dataclass(frozen=True)
class Lab:
    """Models on disk, and the file that names the forgotten."""

    folder: Path
    forget: Path
    ids: tuple[str, ...]

    def options(self, *models: str) -> list[str]:
        named = [part for name in models for part in (f"--{name}", str(self.folder / name))]
        return ["--dataset", "digits", "--forget", str(self.forget), *named]


def run(*arguments: str | Path, code: int) -> str:
    ran = CliRunner().invoke(app, ["audit", *map(str, arguments)], env={"COLUMNS": "150"})
    assert ran.exit_code == code, f"{ran.exit_code}: {ran.output}"
    return " ".join(ran.output.split())


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return found


def request(model: Path, lab: Lab, **changes: Any) -> AuditRequest:
    return AuditRequest(model=model, forget=str(lab.forget), out=lab.folder / "out", **{"dataset": "digits", **changes})
