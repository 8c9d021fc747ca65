"""`make image` and `make sbom`: labels, and a list of contents that is valid and complete."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from core.version import VERSION
from scripts import image, sbom
from tests.support.service import ROOT

LICENCE_IN_FILES_ONLY = {"flask-apscheduler"}
"""Packages whose metadata name no licence; their archives contain one (Apache-2.0)."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The list as `make sbom` writes it."""
    return sbom.write_sbom(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def document(path: Path) -> dict[str, Any]:
    """The list."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def packages(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The components of PyPI or npm by their name."""
    return {
        canonicalize_name(one["name"]): one
        for one in document["components"]
        if one["purl"].startswith(f"pkg:{kind}/")
    }


def test_the_list_is_valid_cyclonedx(path: Path):
    """Scanners refuse what does not follow the schema."""
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text(encoding="utf-8"))

    assert errors is None
    assert path.name == f"balcao-{VERSION}.cdx.json"


def test_every_package_of_the_image_is_listed_in_its_pinned_version(document: dict[str, Any]):
    """Direct ones by name, indirect ones by what they need; packages for tests are not in it."""
    listed = {name: one["version"] for name, one in packages(document, "pypi").items()}
    pinned = sbom.pinned_versions()

    assert {canonicalize_name(one.name) for one in sbom.direct_requirements()} <= set(listed)
    assert {"werkzeug", "jinja2", "greenlet", "mako", "cffi"} <= set(listed)
    assert set(listed).isdisjoint({"pytest", "hypothesis", "playwright", "ruff", "cyclonedx-bom"})
    assert {name: pinned[name] for name in listed} == listed


def test_every_package_has_a_licence(document: dict[str, Any]):
    """The reason to read such a list, beside its versions."""
    without = {name for name, one in packages(document, "pypi").items() if not one.get("licenses")}

    assert without == LICENCE_IN_FILES_ONLY


def test_libraries_of_pages_are_listed_with_their_files(document: dict[str, Any]):
    """No scanner finds a copied file by itself."""
    libraries = packages(document, "npm")
    readme = (ROOT / "static" / "vendor" / "README.md").read_text(encoding="utf-8")
    files = {
        part["hashes"][0]["content"] for one in libraries.values() for part in one["components"]
    }

    assert {(one["name"], one["version"]) for one in libraries.values()} == {
        ("socket.io-client", "4.8.4"),
        ("uplot", "1.6.32"),
    }
    assert files == set(re.findall(r"`([0-9a-f]{64})`", readme))


def test_the_tree_of_dependencies_is_closed(document: dict[str, Any]):
    """Each reference leads to a component, from Balcão to the last package."""
    refs = {one["bom-ref"] for one in document["components"]}
    root = document["metadata"]["component"]["bom-ref"]
    targets = {ref for one in document["dependencies"] for ref in one["dependsOn"]}

    assert targets == refs
    assert {one["ref"] for one in document["dependencies"]} <= refs | {root}


def test_another_version_than_the_pinned_one_stops_the_list():
    """A list of what a developer has installed would describe another image."""
    with pytest.raises(ValueError, match=r"flask 3\.0 instead of 3\.1"):
        sbom.check_versions({"flask": "3.0", "jinja2": "1"}, {"flask": "3.1", "jinja2": "1"})


def test_the_image_has_the_labels_of_its_version():
    """Who finds an image in a registry sees what it is and where it comes from."""
    created = datetime(2026, 11, 30, 12, 0, 5, tzinfo=UTC)

    labels = image.labels("0123abcd", created)

    assert labels.pop("org.opencontainers.image.source", "https://").startswith("https://")
    assert labels == {
        f"org.opencontainers.image.{name}": text
        for name, text in {
            "title": "Balcão",
            "description": "Self-hosted, Pix-style payments with a live checkout",
            "version": VERSION,
            "revision": "0123abcd",
            "licenses": "MIT",
            "created": "2026-11-30T12:00:05Z",
            "base.name": "docker.io/library/python:3.13-slim",
        }.items()
    }
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "FROM python:3.13-slim AS balcao\n" in dockerfile
    assert 'ARG REVISION=""\n' in dockerfile


@pytest.fixture
def engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path, document: dict[str, Any]
) -> Callable[[dict[str, str]], Path]:
    """Put a `docker` first in PATH that notes its arguments; its images have these packages."""

    def install(changes: dict[str, str]) -> Path:
        contents = {one["name"]: one["version"] for one in packages(document, "pypi").values()}
        (tmp_path / "contents.json").write_text(json.dumps(contents | changes), encoding="utf-8")
        program = tmp_path / "docker"
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/arguments\n'
            f'test "$1" = build || cat {tmp_path}/contents.json\n',
            encoding="utf-8",
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(image, "write_sbom", lambda: path)
        return tmp_path / "arguments"

    return install


@pytest.mark.parametrize(
    ("changes", "status"), [({}, 0), ({"Flask": "3.0.0"}, 1), ({"stowaway": "1.0"}, 1)]
)
def test_the_built_image_is_compared_with_its_list(
    engine: Callable[[dict[str, str]], Path], changes: dict[str, str], status: int
):
    """A list that is wrong is worse than none."""
    arguments_file = engine(changes)

    assert image.main(["--name", "registry.example.com/balcao"]) == status
    arguments = arguments_file.read_text(encoding="utf-8").splitlines()
    assert arguments[arguments.index("--tag") + 1] == f"registry.example.com/balcao:{VERSION}"
    [revision] = [one for one in arguments if one.startswith("REVISION=")]
    assert f"org.opencontainers.image.revision={revision.removeprefix('REVISION=')}" in arguments


def test_without_docker_there_is_a_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """And no traceback."""
    monkeypatch.setattr(image, "write_sbom", lambda: path)
    monkeypatch.setattr(image, "build_command", lambda *_: ["/nonexistent/docker"])

    assert image.main([]) == 1
    assert capsys.readouterr().err == "docker is missing. Install Docker 25 or newer.\n"
