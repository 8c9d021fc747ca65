"""Build the image of the service, tagged by version, with labels and the list of its contents.

make image ARGS="--name registry.example.com/balcao"
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.version import VERSION
from scripts.sbom import write_sbom
from scripts.vendor import ROOT

LICENCE = "MIT"
CONTENTS = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.name: d.version for d in m.distributions()}))"
)
"""Run in the image; prints its packages."""


def git(*arguments: str) -> str:
    """What git prints, without the line's end; empty outside a checkout."""
    answer = subprocess.run(  # noqa: S603 - ours
        ["git", *arguments],  # noqa: S607 - the developer's git
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return answer.stdout.strip() if answer.returncode == 0 else ""


def revision() -> str:
    """The commit, with `-dirty` if files differ from it; `unknown` outside a checkout."""
    commit = git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}-dirty" if git("status", "--porcelain") else commit


def source() -> str | None:
    """The address of the repository, if it is one that others can open."""
    address = git("remote", "get-url", "origin").removesuffix(".git")
    return address if address.startswith("https://") and "@" not in address else None


def labels(commit: str, created: datetime) -> dict[str, str]:
    """The labels of the OCI image specification."""
    values = {
        "title": "Balcão",
        "description": "Self-hosted, Pix-style payments with a live checkout",
        "version": VERSION,
        "revision": commit,
        "source": source(),
        "licenses": LICENCE,
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "base.name": "docker.io/library/python:3.13-slim",
    }
    return {f"org.opencontainers.image.{name}": text for name, text in values.items() if text}


def build_command(tag: str, commit: str, created: datetime) -> list[str]:
    """The arguments of docker."""
    command = ["docker", "build", "--target", "balcao", "--tag", tag]
    command += ["--build-arg", f"REVISION={commit}"]
    for name, text in labels(commit, created).items():
        command += ["--label", f"{name}={text}"]
    return [*command, "."]


def differences(sbom: dict[str, Any], contents: dict[str, str]) -> list[str]:
    """Packages that only the image or only the list has, or in another version."""
    listed = {
        (one["name"].lower().replace("_", "-"), one["version"])
        for one in sbom["components"]
        if one.get("purl", "").startswith("pkg:pypi/")
    }
    present = {(name.lower().replace("_", "-"), version) for name, version in contents.items()}
    return sorted(f"{name} {version}" for name, version in listed ^ present)


def image_contents(tag: str) -> dict[str, str]:
    """The Python packages of an image, with their versions."""
    command = ["docker", "run", "--rm", "--network", "none", "--read-only", tag]
    answer = subprocess.run(  # noqa: S603 - ours
        [*command, "python", "-c", CONTENTS], check=True, capture_output=True, text=True
    )
    contents: dict[str, str] = json.loads(answer.stdout)
    return contents


def main(arguments: list[str] | None = None) -> int:
    """Run the command; exit status 0 if image and list agree."""
    parser = argparse.ArgumentParser(prog="python -m scripts.image", description=__doc__)
    parser.add_argument("--name", default="balcao", help="the name before the tag")
    tag = f"{parser.parse_args(arguments).name}:{VERSION}"
    try:
        path: Path = write_sbom()
        command = build_command(tag, revision(), datetime.now(UTC))
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - ours
        sbom = json.loads(path.read_text(encoding="utf-8"))
        wrong = differences(sbom, image_contents(tag))
    except FileNotFoundError:
        print("docker is missing. Install Docker 25 or newer.", file=sys.stderr)
        return 1
    except (ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    if wrong:
        print(f"{path.name} and {tag} differ: {', '.join(wrong)}", file=sys.stderr)
        return 1
    print(f"{tag}, described by {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
