"""Checks of the container files: hardening that one missing line would undo, and no secrets.

What needs a container engine is tested by hand (docs/compose.md has the results).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]
from flask import Flask

from core.errors import DatabaseUnavailable
from core.pictures import PICTURE_BYTES_MAX
from tests.test_tidy import NOT_PRODUCT
from web.bodies import BODY_BYTES_MAX
from web.problems import CODE_OF_STATUS

ROOT = Path(__file__).resolve().parents[2]
DEVELOPMENT, PRODUCTION = "docker-compose.yml", "docker-compose.production.yml"
MUTUAL_TLS = "docker-compose.mutual-tls.yml"
ONE_SHOTS = {"secrets", "migrate", "certificate"}
PINNED = {"python:3.13-slim", "mysql:8.4", "redis:7-alpine", "nginx:1.27-alpine"}


class _Loader(yaml.SafeLoader):
    """Reads Compose's own tags as their values."""


def _plain(loader: Any, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return None
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor("!reset", _plain)
_Loader.add_constructor("!override", _plain)


def services(name: str) -> dict[str, dict[str, Any]]:
    """The services of a file by name, without those that it removes."""
    content = yaml.load((ROOT / name).read_text(encoding="utf-8"), _Loader)  # noqa: S506 - safe
    return {key: value for key, value in content["services"].items() if value is not None}


def whole_services() -> dict[str, dict[str, Any]]:
    """Every service with its full description, from either file."""
    described = services(DEVELOPMENT)
    added = {key: value for key, value in services(PRODUCTION).items() if key not in described}
    return {**described, **added}


ALL = whole_services()


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_container_is_hardened(name: str):
    """A container with all rights is a way into the others."""
    service = ALL[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["pids_limit"] > 0


@pytest.mark.parametrize("name", sorted(ALL))
def test_no_container_can_fill_the_machine(name: str):
    """A leak or a talkative log ends one container, not the machine."""
    service = ALL[name]

    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["logging"] == {
        "driver": "json-file",
        "options": {"max-size": "10m", "max-file": "3"},
    }


@pytest.mark.parametrize("name", sorted(ALL))
def test_nobody_is_root(name: str):
    """The user is that of the service, or the last USER of its image."""
    user = ALL[name].get("user") or user_of_stage(ALL[name]["build"]["target"])

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def user_of_stage(target: str) -> str:
    """The last USER of a stage of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = re.split(r"^FROM ", text, flags=re.M)
    stage = next(part for part in stages if re.match(rf"\S+ AS {target}\n", part))
    return re.findall(r"^USER (\S+)", stage, flags=re.M)[-1]


@pytest.mark.parametrize("name", sorted(ALL))
def test_services_are_checked_and_restarted_and_one_shots_are_not(name: str):
    """A one-shot that restarts for ever looks like a running service."""
    service = ALL[name]

    if name in ONE_SHOTS:
        assert "restart" not in service
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert re.fullmatch(r"\d+s", service["stop_grace_period"])


def test_images_are_pinned_and_ours_are_never_fetched():
    """A moving tag breaks without a change here; nobody publishes images under our names."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    bases = set(re.findall(r"^FROM (\S+)", text, flags=re.M))
    images = {service["image"] for service in ALL.values() if "build" not in service}

    assert bases | images == PINNED
    for service in ALL.values():
        if "build" in service:
            assert service["image"].endswith(":local")
            assert service["pull_policy"] == "never"


def test_development_is_published_to_this_machine_alone():
    """A demo bank that pays anything must not be reachable from a café's network."""
    published = {key: value["ports"] for key, value in ALL.items() if "ports" in value}

    assert published == {"nginx": ["127.0.0.1:${PORT:-5000}:8080"]}


def test_databases_are_on_a_network_without_a_way_out():
    """Only the service and the bank reach the databases."""
    content = yaml.load((ROOT / DEVELOPMENT).read_text(encoding="utf-8"), _Loader)  # noqa: S506
    reaching = {key for key, value in ALL.items() if "data" in value.get("networks", [])}

    assert content["networks"]["data"] == {"internal": True}
    assert reaching == {"mysql", "redis", "web", "bank", "migrate"}
    assert ALL["mysql"]["networks"] == ALL["redis"]["networks"] == ["data"]


def test_secrets_are_paths_and_never_values():
    """An environment is shown by `docker inspect`, written into logs and inherited by children."""
    for name, service in ALL.items():
        for key, value in (service.get("environment") or {}).items():
            if re.search(r"SECRET|PASSWORD|DATABASE_URL|REDIS_URL|_KEY", key):
                assert key.endswith("_FILE"), f"{name}: {key}"
                assert str(value).startswith("/secrets/"), f"{name}: {key}"
    for name in (DEVELOPMENT, PRODUCTION):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.findall(r"://[^/\s]*:[^/\s{]*@", text) == []


def test_each_container_sees_its_own_secrets_alone():
    """An attacker in the simulator must not be able to sign the service's sessions."""
    secret_volumes = {
        name: {volume.split(":")[0] for volume in service.get("volumes", []) if "secrets" in volume}
        for name, service in ALL.items()
        if name != "secrets"
    }

    assert {name: volumes for name, volumes in secret_volumes.items() if volumes} == {
        "mysql": {"mysql-secrets"},
        "redis": {"redis-secrets"},
        "web": {"service-secrets"},
        "migrate": {"service-secrets"},
        "bank": {"bank-secrets"},
    }
    writable = [
        volume
        for name, service in ALL.items()
        if name != "secrets"
        for volume in service.get("volumes", [])
        if "secrets" in volume and not volume.endswith(":ro")
    ]
    assert writable == []


def test_the_databases_health_is_a_login_over_tcp():
    """The server that initialises MySQL's data folder answers on the socket before it is ready."""
    mysql = ALL["mysql"]["healthcheck"]["test"][1]
    redis = ALL["redis"]["healthcheck"]["test"][1]

    assert "--host=127.0.0.1 --protocol=tcp --user=balcao" in mysql
    assert "ping" not in mysql  # mysqladmin ping succeeds when the login is refused
    assert "REDISCLI_AUTH" in redis


def test_the_service_starts_after_its_migrations():
    """Replicas that start on yesterday's schema would fail or, worse, write."""
    waits = {name: condition["condition"] for name, condition in ALL["web"]["depends_on"].items()}

    assert waits == {"migrate": "service_completed_successfully", "redis": "service_healthy"}
    assert ALL["migrate"]["command"] == ["flask", "--app", "app", "db", "upgrade"]
    assert ALL["migrate"]["depends_on"] == {"mysql": {"condition": "service_healthy"}}


def test_production_has_no_demo_and_demands_its_address():
    """The second file removes the simulator and sets the production profile everywhere."""
    text = (ROOT / PRODUCTION).read_text(encoding="utf-8")
    over = services(PRODUCTION)

    assert "  bank: !reset null\n" in text
    assert "${PUBLIC_URL:?" in text
    for name in ("web", "migrate"):
        assert over[name]["environment"]["APP_ENV"] == "production"
    assert over["nginx"]["environment"]["NGINX_PROFILE"] == "production"
    assert over["nginx"]["ports"] == ["${HTTP_PORT:-80}:8080", "${HTTPS_PORT:-443}:8443"]


def test_the_bank_of_test_halves_is_off_unless_it_is_asked_for():
    """It lets everybody pay with play money, so an operator decides; its secret is its own."""
    for name in ("web", "migrate"):
        environment = services(PRODUCTION)[name]["environment"]
        assert environment["TEST_BANK_URL"] == "${TEST_BANK_URL:-}"
        secret = environment["TEST_BANK_WEBHOOK_SECRET_FILE"]
        assert secret == "${TEST_BANK_URL:+/secrets/service/test_bank_webhook_secret}"
    assert all("TEST_BANK_URL" not in one.get("environment", {}) for one in ALL.values())
    text = (ROOT / "docker/nginx/production.conf").read_text(encoding="utf-8")
    limit = re.search(r"location = /bank/scan \{\s+client_max_body_size (\d+)m;", text)
    assert limit is not None
    assert int(limit[1]) * 1024**2 > PICTURE_BYTES_MAX


def test_client_certificates_come_from_nginx_alone():
    """The service believes the header that nginx sets in every request, in every profile."""
    config = (ROOT / "docker/nginx/nginx.conf").read_text(encoding="utf-8")
    over = services(MUTUAL_TLS)
    header = over["web"]["environment"]["CLIENT_CERTIFICATE_HEADER"]
    assert f"proxy_set_header {header} $ssl_client_escaped_cert;" in config
    assert config.count("proxy_set_header X-Client") == 1
    profile = over["nginx"]["environment"]["NGINX_PROFILE"]
    text = (ROOT / f"docker/nginx/{profile}.conf").read_text(encoding="utf-8")
    assert "ssl_verify_client optional;" in text
    assert "include /etc/nginx/production.conf;" in text
    assert f"docker/nginx/{profile}.conf" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert set(over) == {"web", "nginx"}


def test_nginx_trusts_no_client_and_repeats_no_post():
    """A forged X-Forwarded-For would be believed; a repeated POST could pay twice."""
    text = (ROOT / "docker/nginx/nginx.conf").read_text(encoding="utf-8")

    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text
    assert "$proxy_add_x_forwarded_for" not in text
    assert re.findall(r"proxy_next_upstream (.*);", text) == ["error timeout"]
    assert ALL["web"]["environment"]["TRUSTED_PROXIES"] == 1


def locations(text: str) -> dict[str, str]:
    """The locations of nginx' configuration, by what is matched."""
    blocks = re.findall(r"^ {8}location (\S.*?) \{\n(.*?)^ {8}\}$", text, flags=re.M | re.S)
    assert len(blocks) == text.count("location ")
    return dict(blocks)


def size(text: str) -> int:
    """The bytes of `client_max_body_size` in this text."""
    number, unit = re.findall(r"client_max_body_size (\d+)([km]);", text)[0]
    return int(number) * {"k": 2**10, "m": 2**20}[unit]


def test_nginx_lets_large_bodies_pass_where_the_service_takes_them(app: Flask):
    """nginx would refuse the first real picture, or batch, of a new route that takes some."""
    text = (ROOT / "docker/nginx/nginx.conf").read_text(encoding="utf-8")
    sizes = {
        matched.removeprefix("~ "): size(inside)
        for matched, inside in locations(text).items()
        if "client_max_body_size" in inside
    }
    taking = {
        rule.rule: app.view_functions[rule.endpoint].__dict__["body_bytes_max"]
        for rule in app.url_map.iter_rules()
        if "body_bytes_max" in app.view_functions[rule.endpoint].__dict__
        and {"POST", "PUT", "PATCH"} & (rule.methods or set())
    }

    assert len(sizes) == 4
    assert len(taking) >= 5
    patterns_of = {
        rule: [pattern for pattern in sizes if re.search(pattern, rule)] for rule in taking
    }
    assert {len(patterns) for patterns in patterns_of.values()} == {1}, patterns_of
    for rule, [pattern] in patterns_of.items():
        # Beyond the limit the service answers itself.
        assert sizes[pattern] > taking[rule]
    assert {pattern for [pattern] in patterns_of.values()} == set(sizes)
    ordinary = text.split("server {")[0]
    assert size(ordinary) >= 2 * BODY_BYTES_MAX
    kept_in_memory = ordinary.split("client_body_buffer_size ")[1].split(";")[0]
    assert f"client_max_body_size {kept_in_memory};" in ordinary
    bank = (ROOT / "docker/nginx/development.conf").read_text(encoding="utf-8")
    assert size(bank) > PICTURE_BYTES_MAX


def test_slow_readers_cannot_fill_nginxs_memory():
    """nginx may write only to a tmpfs, so an answer that waits there takes memory."""
    text = (ROOT / "docker/nginx/nginx.conf").read_text(encoding="utf-8")
    (tmpfs,) = ALL["nginx"]["tmpfs"]
    megabytes = int(re.findall(r"size=(\d+)m", tmpfs)[0])

    assert "proxy_max_temp_file_size 0;" in text
    assert megabytes < int(ALL["nginx"]["mem_limit"].removesuffix("m"))


def test_errors_of_nginx_have_the_services_form():
    """A program reads `code` and a person a sentence; nginx's own page has neither."""
    text = (ROOT / "docker/nginx/nginx.conf").read_text(encoding="utf-8")
    answers = re.findall(r"return (\d+) '(\{.*\})';", text)

    assert {int(status): json.loads(body)["code"] for status, body in answers} == {
        413: CODE_OF_STATUS[413],
        503: DatabaseUnavailable.code,
    }
    for status, body in answers:
        problem = json.loads(body)
        assert problem["status"] == int(status)
        assert problem["message"] == problem["detail"]
        assert problem["errors"] == []
    assert "error_page 413 = @too_large;" in text
    assert "error_page 502 504 = @away;" in text
    # An error_page in a location would replace these two there.
    assert text.count("error_page ") == 2
    assert "error_page" not in (ROOT / "docker/nginx/development.conf").read_text(encoding="utf-8")


def test_memory_of_password_hashes_goes_back_to_the_system():
    """Otherwise malloc keeps 19 MiB per arena, and many PINs at once end the container."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    running = text.split(" AS balcao\n")[1]
    threshold = re.findall(r"^ENV MALLOC_MMAP_THRESHOLD_=(\d+)$", running, flags=re.M)

    assert [int(number) < 19 * 2**20 for number in threshold] == [True]


def test_mysql_checks_every_foreign_key():
    """MySQL 9.7 needs the option to refuse dangling rows; with `loose` MySQL 8 ignores it."""
    assert "--loose-innodb-native-foreign-keys=ON" in ALL["mysql"]["command"]


def test_further_settings_reach_the_service_alone():
    """Settings such as SIGN_UP=closed need no third Compose file."""
    files = {name: service["env_file"] for name, service in ALL.items() if "env_file" in service}

    assert files == {
        name: [{"path": "service.env", "required": False}] for name in ("web", "migrate")
    }


def test_the_image_holds_every_part_of_the_product_and_nothing_else():
    """A missing folder breaks the image; a copied .env leaks the secrets."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed_names = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    product = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and path.name not in NOT_PRODUCT and any(path.glob("*.py"))
    }

    assert rules[0] == "*"
    assert allowed_names == product | {
        "*.py",
        "requirements.txt",
        "constraints.txt",
        "docker",
        "docs/*.md",  # they are pages of the service
        "migrations",
        "static",
        "templates",
        "translations",
    }


def test_the_document_says_what_each_service_is_for():
    """Nobody dares to stop a container without an explanation."""
    text = (ROOT / "docs/compose.md").read_text(encoding="utf-8")
    table = text.split("## What each service is for")[1].split("\n## ")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.M)) == set(ALL)


def test_the_document_names_every_variable_of_the_files():
    """An operator finds every variable without reading YAML."""
    text = (ROOT / "docs/compose.md").read_text(encoding="utf-8")
    files = "".join((ROOT / name).read_text(encoding="utf-8") for name in (DEVELOPMENT, PRODUCTION))
    variables = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", files))

    assert {name for name in variables if name not in text} == set()
