"""Write the list of what the image contains: `make sbom`, and part of `make image`.

CycloneDX 1.6 as JSON: the Python packages of requirements.txt with everything that they need, in
the versions of constraints.txt, and the libraries that pages load. The system and Python itself
come from the base image, which its publisher describes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from core.version import VERSION
from scripts.vendor import ROOT, VendoredFile, table_rows

SCHEMA_VERSION = "1.6"
NOT_IN_IMAGE = {"pytest"}
"""In requirements.txt for `make test`; the Dockerfile leaves it out."""
IMAGE_PYTHON = "3.13"
FOLDER = ROOT / "build"
ADDRESSES = {"distribution", "vcs", "website"}
"""The kinds of addresses to list; chats, funds and the like say nothing of the contents."""
Component = dict[str, Any]


def pinned_versions() -> dict[str, str]:
    """Name → version of constraints.txt; names as PyPI compares them."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version.strip() for name, version in pairs}


def direct_requirements() -> list[Requirement]:
    """The requirements of the image."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    texts = (line.partition("#")[0].strip() for line in lines)
    requirements = [Requirement(text) for text in texts if text]
    return [one for one in requirements if canonicalize_name(one.name) not in NOT_IN_IMAGE]


def needed_packages(requirements: Iterable[Requirement]) -> dict[str, set[str]]:
    """Package → what it needs in the image, for these requirements and all that they need.

    Raises PackageNotFoundError if the environment lacks one.
    """
    environment: dict[str, str] = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": IMAGE_PYTHON,
        "python_full_version": f"{IMAGE_PYTHON}.0",
    }
    needs: dict[str, set[str]] = {}
    visits = [(canonicalize_name(one.name), frozenset(one.extras)) for one in requirements]
    visited = set(visits)
    while visits:
        name, extras = visits.pop()
        own = needs.setdefault(name, set())
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is not None and not any(
                marker.evaluate({**environment, "extra": extra}) for extra in (*extras, "")
            ):
                continue
            visit = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            own.add(visit[0])
            if visit not in visited:
                visited.add(visit)
                visits.append(visit)
    return needs


def installed_components() -> dict[str, Component]:
    """Each installed package by its name, with licence and address, as cyclonedx-bom reads them."""
    with tempfile.TemporaryDirectory(prefix="balcao-sbom-") as folder:
        path = Path(folder) / "environment.json"
        command = [sys.executable, "-m", "cyclonedx_py", "environment", sys.executable]
        options = ["--sv", SCHEMA_VERSION, "--of", "JSON", "--no-validate", "-o", str(path)]
        subprocess.run([*command, *options], check=True, timeout=300)  # noqa: S603 - ours
        components = json.loads(path.read_text(encoding="utf-8"))["components"]
    for one in components:
        addresses = one.pop("externalReferences", [])
        one["externalReferences"] = [each for each in addresses if each["type"] in ADDRESSES]
    return {canonicalize_name(one["name"]): one for one in components}


def vendored_component(rows: list[VendoredFile]) -> Component:
    """A library of static/vendor, with the hash of each of its files."""
    first = rows[0]
    purl = f"pkg:npm/{first.package.replace('@', '%40')}@{first.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": first.package,
        "version": first.version,
        "purl": purl,
        "licenses": [{"license": {"id": first.licence}}],
        "components": [
            {
                "type": "file",
                "bom-ref": f"{purl}#{row.member}",
                "name": str(row.path.relative_to(ROOT)),
                "hashes": [{"alg": "SHA-256", "content": row.sha256}],
            }
            for row in rows
        ],
    }


def vendored_components() -> list[Component]:
    """The libraries of static/vendor."""
    by_archive: dict[str, list[VendoredFile]] = {}
    for row in table_rows(ROOT / "static" / "vendor"):
        by_archive.setdefault(row.archive, []).append(row)
    return [vendored_component(rows) for rows in by_archive.values()]


def build_sbom() -> dict[str, Any]:
    """The document. Raises ValueError if the environment differs from constraints.txt."""
    pinned, installed = pinned_versions(), installed_components()
    needs = needed_packages(direct_requirements())
    check_versions({name: installed[name]["version"] for name in needs}, pinned)
    packages = [installed[name] for name in sorted(needs)]
    libraries = vendored_components()
    root = f"pkg:generic/balcao@{VERSION}"
    refs = {name: installed[name]["bom-ref"] for name in needs}
    direct = [refs[canonicalize_name(one.name)] for one in direct_requirements()]
    dependencies = [{"ref": root, "dependsOn": direct + [one["bom-ref"] for one in libraries]}]
    dependencies += [
        {"ref": refs[name], "dependsOn": sorted(refs[other] for other in others)}
        for name, others in sorted(needs.items())
    ]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SCHEMA_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SCHEMA_VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "balcao",
                "version": VERSION,
                "purl": root,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": [*packages, *libraries],
        "dependencies": dependencies,
    }


def check_versions(versions: Mapping[str, str], pinned: Mapping[str, str]) -> None:
    """Raise ValueError, with a sentence, for packages that differ from constraints.txt."""
    differences = [
        f"{name} {version} instead of {pinned.get(name, 'none')}"
        for name, version in versions.items()
        if pinned.get(name) != version
    ]
    if differences:
        raise ValueError(f"The environment differs from constraints.txt: {', '.join(differences)}.")


def write_sbom(folder: Path = FOLDER) -> Path:
    """Write the document; return its path."""
    path = folder / f"balcao-{VERSION}.cdx.json"
    text = json.dumps(build_sbom(), indent=1, ensure_ascii=False)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def main() -> int:
    """Run the command."""
    argparse.ArgumentParser(prog="python -m scripts.sbom", description=__doc__).parse_args()
    try:
        print(write_sbom())
    except (PackageNotFoundError, ValueError) as error:
        print(f"{error} Run `make install` again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
