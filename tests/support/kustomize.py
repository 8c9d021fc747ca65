"""The manifests of deploy/kubernetes, rendered by kubectl as an operator renders them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

from tests.support.parts import MissingPart

KUSTOMIZE_MIN = 5
"""Components, `labels` and `replicas` as the overlays use them."""


@cache
def kubectl() -> str:
    """A kubectl whose kustomize is new enough. Raises MissingPart."""
    for program in (str(Path(sys.prefix) / "bin" / "kubectl"), shutil.which("kubectl")):
        if program and Path(program).is_file() and _kustomize_of(program) >= KUSTOMIZE_MIN:
            return program
    raise MissingPart("kubectl 1.29 or newer (make kubectl)")


def _kustomize_of(program: str) -> int:
    """The major version of the kustomize in this kubectl; 0 if it is too old to say."""
    answer = subprocess.run(
        [program, "version", "--client", "--output=json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    try:
        return int(json.loads(answer.stdout)["kustomizeVersion"].lstrip("v").split(".")[0])
    except (KeyError, ValueError):
        return 0


def render(folder: Path) -> list[dict[str, Any]]:
    """The documents that `kubectl apply --kustomize FOLDER` would send."""
    answer = subprocess.run(
        [kubectl(), "kustomize", str(folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == "", "kustomize warns"
    return [document for document in yaml.safe_load_all(answer.stdout) if document]
