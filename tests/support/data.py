"""Real data: scikit-learn's digits always; larger sets where the folder is there."""

import os
from functools import cache
from pathlib import Path

import pytest

from unscathed.lab.setups import Setup, setup


@cache
def digit_setup() -> Setup:
    return setup("digits")


def data_folder(name: str) -> Path:
    """A data set's folder, or a skip that says what is missing."""
    root = os.environ.get("UNSCATHED_DATA")
    if not root:
        pytest.skip("UNSCATHED_DATA names no folder of data sets")
    folder = Path(root) / name
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder
