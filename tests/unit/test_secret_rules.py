"""Production refuses secrets that strangers know, guess, or get from another place."""

from __future__ import annotations

import re
import secrets
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

from bank.settings import BankSettings, BankSettingsError
from config import ConfigurationError, Settings
from core.runtime import secret_rules
from core.signing import signatures
from tests.support.parts import MissingPart, leave_out
from tests.support.service import SECRET, SECRET_KEY

ROOT = Path(__file__).resolve().parents[2]
_SIGNING = re.compile(r"whsec_[\"' +]*([A-Za-z0-9+/]{32,}={0,2})")
_KEY = re.compile(r"[A-Z_]*SECRET_KEY['\"]?\s*[=:]\s*['\"]?([^\s\"'|`${}<>(),]{32,})")
_PASSWORD = re.compile(r"\w://[^:@/\s\"'{]*:([^@/\s\"'{}$]+)@")


def refusal(tmp_path, **variables: str) -> str:
    """The sentence that refuses these variables in production; empty if it starts."""
    environment = {
        "APP_ENV": "production",
        "INSTANCE_DIR": str(tmp_path / "instance"),
        "SECRET_KEY": SECRET_KEY,
        "BANK_WEBHOOK_SECRET": SECRET,
    }
    try:
        Settings.from_env(environment | variables)
    except ConfigurationError as error:
        sentence = str(error)
        assert "\n" not in sentence
        return sentence
    return ""


def repository_texts() -> list[str]:
    """The text of every file that git knows, but for libraries of the pages and this file.

    This file has passwords that are accepted, as examples of the other side of a rule.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        # Only git knows which files are published, and a downloaded archive has no repository.
        leave_out(MissingPart("a git repository around the files"))
    texts = []
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        is_read = not name.startswith(("static/", "tests/vendor/")) and path != Path(__file__)
        if name and path.is_file() and is_read:
            texts.append(path.read_bytes().decode("utf-8", "ignore"))
    return texts


def matches(pattern: re.Pattern[str]) -> set[str]:
    """What this pattern finds in the repository."""
    return {match for text in repository_texts() for match in pattern.findall(text)}


def test_every_secret_in_the_repository_is_refused(tmp_path):
    """Whoever copies an example would let everybody sign confirmations."""
    signing, keys = {f"whsec_{text}" for text in matches(_SIGNING)}, matches(_KEY)
    assert len(signing) >= 3
    assert "an-example-that-everybody-knows-make-your-own-one" in keys
    for secret in signing:
        sentence = refusal(tmp_path, BANK_WEBHOOK_SECRET=secret)
        assert "BANK_WEBHOOK_SECRET " in sentence, secret
        assert secret not in sentence
        assert "BANK_WEBHOOK_SECRET_PREVIOUS " in refusal(
            tmp_path, BANK_WEBHOOK_SECRET_PREVIOUS=secret
        )
    for secret in keys | signing:
        assert "SECRET_KEY " in refusal(tmp_path, SECRET_KEY=secret), secret


def test_every_password_in_an_address_of_the_repository_is_refused(tmp_path):
    """The addresses of README and documents are there to be copied."""
    passwords = matches(_PASSWORD)
    assert {"password", "admin123"} <= passwords
    for password in passwords:
        for name, scheme in (("DATABASE_URL", "mysql"), ("REDIS_URL", "redis")):
            address = f"{scheme}://shop:{password}@127.0.0.1/0"
            assert f"{name} " in refusal(tmp_path, **{name: address}), password


@pytest.mark.parametrize(
    "secret",
    ["k" * 48, "password" * 6, "0123456780123456780123456780123456780", "0123456789" * 4],
)
def test_a_simple_secret_is_refused_in_production_alone(tmp_path, secret):
    """Long is not random; in development only this machine is at stake."""
    assert "SECRET_KEY is too simple" in refusal(tmp_path, SECRET_KEY=secret)
    assert refusal(tmp_path, SECRET_KEY=secret, APP_ENV="development") == ""


def test_a_placeholder_is_refused(tmp_path):
    """Somebody meant to replace it."""
    sentence = refusal(tmp_path, SECRET_KEY="change-me-change-me-change-me-1234567")
    assert "SECRET_KEY is a placeholder" in sentence


def test_random_secrets_are_accepted(tmp_path):
    """As the documents generate them; a socket or a trusted network needs no password."""
    for _ in range(20):
        assert refusal(tmp_path, BANK_WEBHOOK_SECRET=signatures.new_secret()) == ""
    with_password = f"mysql://shop:{secrets.token_hex(8)}@db/balcao"
    for database in ("mysql://shop@db/balcao", with_password, "sqlite://"):
        assert refusal(tmp_path, DATABASE_URL=database) == ""


def test_a_password_needs_eight_characters(tmp_path):
    """Both sides of the limit, and the setting's name."""
    assert "DATABASE_URL has a password of fewer than 8" in refusal(
        tmp_path, DATABASE_URL="mysql://shop:q7r9x2z@db/balcao"
    )
    eight = secrets.token_hex(4)
    assert refusal(tmp_path, DATABASE_URL=f"mysql://shop:{eight}@db/balcao") == ""


def test_one_secret_for_two_purposes_is_refused(tmp_path):
    """Who learns it in one place could use it in the other."""
    plain = SECRET.removeprefix("whsec_")
    as_hex = b64decode(plain).hex()
    for first, second, variables in (
        ("SECRET_KEY", "BANK_WEBHOOK_SECRET", {"SECRET_KEY": SECRET}),
        ("SECRET_KEY", "BANK_WEBHOOK_SECRET", {"SECRET_KEY": plain}),
        ("SECRET_KEY", "BANK_WEBHOOK_SECRET", {"SECRET_KEY": as_hex}),
        ("SECRET_KEY", "DATABASE_URL", {"DATABASE_URL": f"mysql://u:{SECRET_KEY}@h/d"}),
        (
            "BANK_WEBHOOK_SECRET",
            "BANK_WEBHOOK_SECRET_PREVIOUS",
            {"BANK_WEBHOOK_SECRET_PREVIOUS": SECRET},
        ),
        (
            "DATABASE_URL",
            "REDIS_URL",
            {
                "DATABASE_URL": "mysql://u:one-and-the-same@h/d",
                "REDIS_URL": "redis://:one-and-the-same@h/0",
            },
        ),
    ):
        sentence = refusal(tmp_path, **variables)
        assert f"{first} and {second} hold the same secret" in sentence
        assert plain not in sentence


def test_all_faults_are_named_at_once(tmp_path):
    """One start, one list."""
    sentence = refusal(tmp_path, SECRET_KEY="k" * 48, DATABASE_URL="mysql://u:secret@h/d")
    assert "SECRET_KEY" in sentence
    assert "DATABASE_URL" in sentence


def test_the_bank_alone_has_the_same_rules():
    """Its key signs the confirmations."""

    def start(**changes: str) -> BankSettings:
        environment = {
            "APP_ENV": "production",
            "BANK_DATABASE_URL": "sqlite://",
            "BANK_WEBHOOK_SECRET": SECRET,
            "BANK_SECRET_KEY": SECRET_KEY,
        }
        return BankSettings.from_env(environment | changes)

    assert not start().demo
    example = next(text for text in secret_rules.EXAMPLE_SECRETS if text.startswith("whsec_"))
    for changes, word in (
        ({"BANK_WEBHOOK_SECRET": example}, "BANK_WEBHOOK_SECRET is an example"),
        ({"BANK_SECRET_KEY": "k" * 32}, "BANK_SECRET_KEY is too simple"),
        ({"BANK_SECRET_KEY": SECRET}, "hold the same secret"),
    ):
        with pytest.raises(BankSettingsError, match=word):
            start(**changes)
