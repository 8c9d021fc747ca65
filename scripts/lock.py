"""Write constraints.txt: the exact version of everything the two requirements files bring.

The versions are those that pip installs into an empty environment, so nothing that happens to lie
in a developer's own environment gets in.
"""

from __future__ import annotations

import subprocess
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# The exact version of every package, direct or brought along, for running, testing and linting.
# Made by `make lock` from the two requirements files; pip installs none of it unless asked for.
"""


def resolved() -> list[str]:
    """`name==version` of every package, sorted, as pip resolves requirements-dev.txt today."""
    with tempfile.TemporaryDirectory(prefix="balcao-lock-") as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        wanted = str(ROOT / "requirements-dev.txt")
        subprocess.run([*pip, "install", "--quiet", "-r", wanted], check=True)  # noqa: S603 - ours
        frozen = subprocess.run(  # noqa: S603 - ours
            [*pip, "freeze"], check=True, capture_output=True, text=True
        )
    return sorted(frozen.stdout.split(), key=str.casefold)


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(resolved()) + "\n", encoding="utf-8")
