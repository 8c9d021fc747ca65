"""The documents agree with the code: settings, events, errors and routes, name by name.

Without these tests, a list that is written by hand would soon be wrong.
"""

from __future__ import annotations

import ast
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from annotated_types import Ge, Gt, Le, MinLen
from flask import Flask

import config
from bank.app import create_bank_app
from bank.settings import BankSettings, BankSettingsError
from config import Settings
from core.signing import signatures
from db_models import AuditAction, EventName
from payments.schemas import NewPayment
from realtime.announcer import Announcer
from repository.events import StoredEvent
from scripts.openapi import FILE, served_document
from tests.support.clocks import FrozenClock
from tests.support.service import SECRET
from tests.test_tidy import LEVELS
from web.docs_routes import error_rows

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def rows(name: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading of a document, without its header."""
    text = (DOCS / name).read_text(encoding="utf-8")
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.M)
    assert len(section) == 2, f"{name} has no heading {heading!r}, or several"
    body = re.split(r"^#+ ", section[1], maxsplit=1, flags=re.M)[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def code_of(cell: str) -> str:
    """The text in backticks at the beginning of a cell."""
    match = re.match(r"`([^`]+)`", cell)
    assert match, f"{cell!r} does not begin with a name in backticks"
    return match[1]


def in_code(cell: str) -> list[str]:
    """Every text in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


# --- settings ------------------------------------------------------------------------------------


@pytest.fixture
def setting_rows() -> dict[str, list[str]]:
    """Default, allowed and meaning by the name of the setting."""
    return {code_of(row[0]): row[1:] for row in rows("settings.md", "The service")}


def test_every_setting_is_in_the_document_and_no_other(setting_rows: dict[str, list[str]]):
    """An undocumented setting is never used; a removed one in the table misleads."""
    assert set(setting_rows) == {name.upper() for name in Settings.model_fields}


def test_the_defaults_in_the_document_are_the_codes(
    setting_rows: dict[str, list[str]], tmp_path: Path
):
    """Settings are read with an empty environment, so derived defaults are checked as well."""
    defaults = Settings.from_env({"INSTANCE_DIR": str(tmp_path)})
    generated = {path.name for path in tmp_path.iterdir()}
    documented = {
        "<INSTANCE_DIR>": str(tmp_path),
        "<PUBLIC_URL>": defaults.public_url,
        "<BANK_URL>": defaults.bank_url,
        "<HOST>": defaults.host,
        "<PORT>": str(defaults.port),
    }

    for name, (cell, *_) in setting_rows.items():
        value = getattr(defaults, name.lower())
        if name == "INSTANCE_DIR":
            assert (cell, config.ROOT / "instance") == (
                "`instance/` beside `app.py`",
                Settings.model_fields["instance_dir"].default,
            )
        elif cell == "generated":
            assert name.lower() in generated, name
        elif cell == "none":
            assert value is None, name
        else:
            text = code_of(cell)
            for placeholder, real in documented.items():
                text = text.replace(placeholder, real)
            assert text == _setting_text(value), name


def _setting_text(value: object) -> str:
    """The value as an operator writes it in a variable."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_limits_in_the_document_are_the_codes(setting_rows: dict[str, list[str]]):
    """An operator should not learn the limits from a refused start."""
    for name, (_, values_text, *_) in setting_rows.items():
        field = Settings.model_fields[name.lower()]
        if choices := get_args(field.annotation):
            if type(None) not in choices:
                assert in_code(values_text) == list(choices), name
        elif field.metadata:
            assert values_text == _limits(field.metadata), name


def _limits(metadata: list[Any]) -> str:
    kinds = {type(limit): limit for limit in metadata}
    if MinLen in kinds:
        return f"{kinds[MinLen].min_length} characters or more"
    if Gt in kinds:
        return f"more than {kinds[Gt].gt}, to {kinds[Le].le}"
    return f"{kinds[Ge].ge} to {kinds[Le].le}"


def test_the_document_names_every_secret_that_may_come_from_a_file():
    """Containers get their secrets as mounted files."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    service = text.split("**From a file.**")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)_FILE`", service)) == {*config._FROM_FILE, "NAME"}


def test_the_example_file_names_every_setting_and_sets_none():
    """A copy named .env must change nothing."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []
    documented_names = {match[1] for line in lines if (match := re.match(r"#([A-Z_]+)=", line))}
    assert documented_names == {name.upper() for name in Settings.model_fields}


def test_the_example_file_as_it_is_uncommented_still_starts(tmp_path: Path):
    """The service must accept its own examples."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    values = dict(re.findall(r"^#([A-Z_]+)=(.*)$", text, flags=re.M))
    values["INSTANCE_DIR"] = str(tmp_path)
    test_bank = {name: values.pop(name) for name in list(values) if name.startswith("TEST_BANK_")}

    settings = Settings.from_env(values)

    assert settings.app_env == "development"
    # The bank of test halves is for production, which refuses the example secrets of this file.
    own_secrets = {
        "APP_ENV": "production",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "BANK_WEBHOOK_SECRET": signatures.new_secret(),
        "INSTANCE_DIR": str(tmp_path),
    }
    test_bank["TEST_BANK_WEBHOOK_SECRET"] = signatures.new_secret()
    assert Settings.from_env({**own_secrets, **test_bank}).bank_to_ask(is_test_half=True)


class _RecordingEnvironment(dict[str, str]):
    """An environment that records which names are read."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


@pytest.fixture
def bank_environment() -> dict[str, str]:
    """The smallest environment of a bank that runs by itself."""
    return {
        "BANK_DATABASE_URL": "sqlite://",
        "BANK_WEBHOOK_SECRET": signatures.new_secret(),
        "BANK_SECRET_KEY": "k" * 32,
    }


def test_every_setting_of_the_bank_is_in_the_document(bank_environment: dict[str, str]):
    """The bank has its own settings; the document lists exactly those."""
    documented = rows("settings.md", "The bank as an application of its own")
    environment_reader = _RecordingEnvironment(bank_environment)
    BankSettings.from_env(environment_reader)
    files = {
        f"{name}_FILE" for row in documented for name in [code_of(row[0])] if "_FILE" in row[2]
    }

    assert {code_of(row[0]) for row in documented} | files == environment_reader.names


def test_the_banks_defaults_in_the_document_are_the_codes(bank_environment: dict[str, str]):
    """Without a required setting the bank does not start; the others have these defaults."""
    bank = BankSettings.from_env(bank_environment)
    value_of = {
        "PUBLIC_URL": bank.service_url,
        "BANK_SERVICE_URL": "PUBLIC_URL",
        "BANK_HOST": bank.host,
        "BANK_PORT": str(bank.port),
        "BANK_ISPB": bank.ispb,
        "BANK_RETRY_SECONDS": str(bank.retry_seconds),
        "BANK_REFUND_DELAY_SECONDS": str(bank.refund_delay_seconds),
        "BANK_LANGUAGE": bank.language,
        "APP_ENV": "development" if bank.demo else "production",
    }

    for name, default, *_ in rows("settings.md", "The bank as an application of its own"):
        if default == "required":
            incomplete = {k: v for k, v in bank_environment.items() if k != code_of(name)}
            with pytest.raises(BankSettingsError, match=code_of(name)):
                BankSettings.from_env(incomplete)
        elif default.startswith("`"):
            assert code_of(default) == value_of[code_of(name)], name
    assert dict(bank.participant_hosts) == {"127.0.0.1:5000": bank.service_url}


# --- events --------------------------------------------------------------------------------------


def recorded_events() -> set[str]:
    """The members of EventName that the verbs record."""
    return {
        EventName[node.attr].value
        for path in (ROOT / "payments").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "EventName"
    }


def test_every_recorded_event_is_in_the_document_and_no_other():
    """Developers of clients read the list, and listen only for events in it."""
    documented = {code_of(row[0]) for row in rows("events.md", "What is recorded")}

    assert documented == set(EventName) == recorded_events()


class _Everywhere(dict[str, Any]):
    """The clients by room: there is one in each."""

    def __contains__(self, _room: object) -> bool:
        return True


class _HeardEmits:
    """A stand-in for Socket.IO that records events and rooms."""

    server = SimpleNamespace(manager=SimpleNamespace(rooms={"/": _Everywhere()}))

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def emit(self, name: str, message: dict[str, Any], to: Any) -> None:
        self.heard.append((name, message))


def emitted_for(app: Flask, name: str) -> list[tuple[str, dict[str, Any]]]:
    """The events that the announcer emits for one stored event of the payment `<id>`.

    An event of a receipt has no payment.
    """
    network = _HeardEmits()
    is_receipt = name == EventName.RECEIPT_RECEIVED
    row, txid = (None, None) if is_receipt else (1, "<id>")
    event = StoredEvent(EventName(name), row, 1, txid, "pending", 2, FrozenClock().now(), "…", 1)
    Announcer(app, network, None).announce([event])  # type: ignore[arg-type]
    return network.heard


def test_each_event_is_announced_under_the_names_of_the_document(app: Flask):
    """With one wrong letter in a name, a page waits for ever."""
    for name, _, announced in rows("events.md", "What is recorded"):
        assert [emitted for emitted, _ in emitted_for(app, code_of(name))] == in_code(announced), (
            name
        )


def test_the_message_has_the_fields_of_the_document(app: Flask):
    """Every announced event of a payment carries the same fields; one of a receipt has two more."""
    documented = [code_of(row[0]) for row in rows("events.md", "The message")]
    only_of_receipts = ["end_to_end_id", "value"]

    [(_, receipts_message)] = emitted_for(app, EventName.RECEIPT_RECEIVED)
    names = [name for name in recorded_events() if name != EventName.RECEIPT_RECEIVED]
    messages = [message for name in names for _, message in emitted_for(app, name)]

    assert list(receipts_message) == documented
    assert messages
    assert all([*message, *only_of_receipts] == documented for message in messages)


def test_every_message_a_client_may_send_is_in_the_document(app: Flask):
    """The messages are the server's registered handlers."""
    handlers = app.extensions["socketio"].server.handlers["/"]
    documented = {code_of(row[0]) for row in rows("events.md", "What a client says")}

    assert documented == set(handlers) - {"connect", "disconnect"}


# --- errors --------------------------------------------------------------------------------------


def test_every_error_code_is_in_the_document_with_its_status():
    """Clients decide by these codes."""
    documented = [(code_of(row[0]), int(row[1])) for row in rows("errors.md", "Errors")]

    assert documented == [(code, status) for code, status, _ in error_rows()]


# --- the audit log ------------------------------------------------------------------------------


def test_every_audited_action_is_in_the_document_and_no_other():
    """A reader of the audit looks up actions there."""
    documented = [name for row in rows("accounts.md", "Audit log") for name in in_code(row[0])]

    assert sorted(documented) == sorted(AuditAction)


# --- routes --------------------------------------------------------------------------------------


def routes_of(app: Flask, prefix: str = "") -> Iterator[str]:
    """`METHOD /path` of each route, without converters."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>", r"<\1>", rule.rule)
        for method in (rule.methods or set()) & METHODS:
            yield f"{'WS' if rule.websocket else method} {prefix}{path}"


def documented_routes(*headings: str) -> list[str]:
    """The first cells of the tables under these headings."""
    return [code_of(row[0]) for heading in headings for row in rows("routes.md", heading)]


def test_every_route_is_in_the_document_and_no_other(app: Flask):
    """Every route is listed, and every listed route exists."""
    documented = documented_routes(
        "Payments",
        "Webhooks",
        "People",
        "The payer",
        "Transactions",
        "QR codes and locations",
        "API Pix",
        "Recovery",
        "The portal",
        "Administration",
        "The demo shop",
        "Machines and documents",
    )

    assert sorted(documented) == sorted(routes_of(app))


def test_every_route_of_the_bank_is_in_the_document_and_no_other(tmp_path: Path):
    """The bank is an application of its own, so its routes are read from its own map."""
    database = f"sqlite:///{tmp_path}/bank.sqlite3"
    bank = create_bank_app(BankSettings(database, SECRET, "http://127.0.0.1:9", "k" * 32, {}))

    assert sorted(documented_routes("The simulated bank, at /bank")) == sorted(
        routes_of(bank, "/bank")
    )


def test_the_document_names_every_field_of_a_new_payment():
    """It is the first body that every developer sends."""
    create = next(row for row in rows("routes.md", "Payments") if "POST /payments/pix`" in row[0])

    documented_names = {name.removesuffix("?") for name in in_code(create[2])}
    assert documented_names == set(NewPayment.model_fields) | {"Location"}


def test_the_fields_of_the_error_example_are_the_ones_answered(client: Any):
    """Developers copy the example into their clients."""
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    example = re.search(r"```json\n(.*?)```", text, flags=re.S)
    assert example

    answer = client.post("/payments/pix", json={"value": 100.001, "x": 1})

    assert re.findall(r'^  "(\w+)"', example[1], flags=re.M) == list(answer.get_json(force=True))


# --- links and decisions -------------------------------------------------------------------------


def documents() -> list[Path]:
    """Every Markdown document of the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def test_every_link_between_documents_leads_somewhere():
    """Files and headings move; otherwise a reader would be the first to notice."""
    dead = []
    for document in documents():
        text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            there = (document.parent / path).resolve() if path else document
            has_anchor = not anchor or there.suffix != ".md" or anchor in _anchors(there)
            if not (there.exists() and has_anchor):
                dead.append(f"{document.relative_to(ROOT)}: {target}")

    assert dead == []


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_decisions_are_numbered_without_gaps_and_have_the_four_sections():
    """A decision without its consequences and alternatives is only a statement."""
    paths = sorted((DOCS / "decisions").glob("[0-9]*.md"))

    assert [path.name[:4] for path in paths] == [f"{n:04}" for n in range(1, len(paths) + 1)]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        headings = re.findall(r"^## (.+)$", text, flags=re.M)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], path.name
        assert text.startswith(f"# {path.name[:4]} "), path.name


def test_every_folder_of_the_product_is_in_the_architecture_document():
    """Nobody dares to change a folder that is not explained."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    undescribed = {folder for folder in folders if f"`{folder}/`" not in text}
    assert folders >= {"core", "payments", "bank"}
    assert undescribed == set()


def test_the_picture_in_the_architecture_document_shows_the_levels_of_the_imports():
    """People remember the picture, so it must have the levels of the code."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    picture = text.split("## The picture")[1].split("```")[1]

    folders = re.findall(r"^ (\w+)(?:/|\.py) ", picture, flags=re.M)
    assert folders == [part for level in reversed(LEVELS) for part in level]


def test_functions_and_files_named_in_the_architecture_document_exist():
    """A renamed function must be renamed in the document too."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    documented_names = re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_]+)`", text)
    modules = [name for name in documented_names if (ROOT / name.split(".")[0]).is_dir()]

    assert len(modules) > 10
    assert [name for name in modules if not _exists(name)] == []


def _exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        source = (
            path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        )
        if source.is_file():
            rest = parts[length:]
            return not rest or _defines(ast.parse(source.read_text(encoding="utf-8")), rest)
    return False


def _defines(scope: ast.Module | ast.ClassDef, names: list[str]) -> bool:
    for node in ast.walk(scope):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == names[0]:
            return len(names) == 1 or (isinstance(node, ast.ClassDef) and _defines(node, names[1:]))
    return False


# --- documents for machines ------------------------------------------------------------------


def test_the_api_document_in_the_repository_is_the_served_one():
    """Clients are generated from the file; `make openapi` writes it again."""
    assert json.loads(FILE.read_text("utf-8")) == json.loads(served_document())


def test_the_index_for_language_models_names_every_document_and_no_other():
    """A link to nowhere, or a document that is missing, misleads a reader that cannot look."""
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "llms.txt").read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).is_file()] == []
    documents = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert documents <= set(links)
