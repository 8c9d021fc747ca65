"""Install requirements with pip and show the progress: a slow line needs minutes.

    python -m scripts.install requirements.txt

Needs only the standard library, because nothing else is installed yet.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOUND = re.compile(r"^(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)")


def install(requirements: str) -> int:
    """Run pip, print which package it is at, and return its exit status.

    If pip fails, its whole output follows, so that nobody has to run it again.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    command += ["-r", requirements, "-c", "constraints.txt", "--progress-bar", "off"]
    process = subprocess.Popen(  # noqa: S603 - ours
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output: list[str] = []
    names: set[str] = set()
    for line in process.stdout or ():
        output.append(line)
        if (match := FOUND.match(line)) and match[1].lower() not in names:
            names.add(match[1].lower())
            _show(f"  {len(names)} packages: {match[1]}")
        elif line.startswith("Installing collected packages"):
            _show(f"  {len(names)} packages downloaded, unpacking")
    status = process.wait()
    if status != 0:
        sys.stdout.write("\n" + "".join(output))
    elif sys.stdout.isatty():
        sys.stdout.write("\n")
    return status


def _show(text: str) -> None:
    """Replace the line on a terminal; elsewhere print lines."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{text:<60}"[:79])
    else:
        sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(install(sys.argv[1]))
