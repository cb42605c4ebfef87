"""Code: a digest of the code that results depend on, so that work of an older version is not taken for this one's."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

import torch

import unscathed

_PACKAGE = Path(unscathed.__file__).parent
_SHOWING = (
    "cli.py", "__init__.py", "lab/auditing", "lab/board", "lab/commands", "lab/estimate", "lab/extras", "lab/frames",
    "lab/labels", "lab/look", "lab/plots", "lab/report", "lab/running", "lab/statistics", "lab/tables", "lab/terminal",
)  # fmt: skip
"""What only shows results."""


@cache
def code_digest() -> str:
    """A digest of the package's code (without comments and docstrings) and of torch's version."""
    content = hashlib.blake2b(torch.__version__.encode(), digest_size=8)
    for path in sorted(_PACKAGE.rglob("*.py")):
        name = path.relative_to(_PACKAGE).as_posix()
        if not name.startswith(_SHOWING):
            content.update(name.encode())
            content.update(_meaning(path).encode())
    return content.hexdigest()


@cache
def file_digest(path: Path) -> str:
    """A digest of one file of a user's own code."""
    return hashlib.blake2b(_meaning(path).encode(), digest_size=8).hexdigest()


def _meaning(path: Path) -> str:
    """What a module says, however it is laid out and commented."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
