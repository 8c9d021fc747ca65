"""Write constraints.txt: the exact version of every package that the requirements files install.

pip resolves the versions in an empty environment, so packages of a developer's own environment do
not get into the file.
"""

from __future__ import annotations

import subprocess
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# The exact version of every package, direct or indirect, for running, testing and linting.
# `make lock` writes this file from the requirements files. It installs nothing by itself.
"""


def resolve_versions() -> list[str]:
    """Resolve requirements-dev.txt with pip; return `name==version` of every package, sorted."""
    with tempfile.TemporaryDirectory(prefix="balcao-lock-") as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        requirements = str(ROOT / "requirements-dev.txt")
        subprocess.run([*pip, "install", "--quiet", "-r", requirements], check=True)  # noqa: S603 - ours
        freeze = subprocess.run(  # noqa: S603 - ours
            [*pip, "freeze"], check=True, capture_output=True, text=True
        )
    return sorted(freeze.stdout.split(), key=str.casefold)


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(
        HEADER + "\n".join(resolve_versions()) + "\n", encoding="utf-8"
    )
