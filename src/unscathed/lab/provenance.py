"""Provenance: what a measurement depends on besides its settings."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unscathed
from unscathed.lab.code import code_digest

COMMAND = "UNSCATHED_COMMAND"
"""Workers are told by this variable what command they work for."""


@cache
def provenance() -> dict[str, Any]:
    """Versions, hardware, commit and command, as columns of `SCHEMA`."""
    versions = {"unscathed": version("unscathed"), "python": platform.python_version(), "torch": torch.__version__}
    return {
        "code": code_digest(),
        "commit": commit(),
        "versions": json.dumps({**versions, "numpy": np.__version__}),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": os.environ.get(COMMAND) or command(),
    }


def command() -> str:
    """The command line of this process."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


@cache
def commit() -> str:
    """The commit of the working copy that the package runs from, with ``+`` where it was changed; else empty."""
    folder = Path(unscathed.__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # Installed into some other project's tree, that project's commit would say nothing.
        if not git("ls-files", "__init__.py"):
            return ""
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


@cache
def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
