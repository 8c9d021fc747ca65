"""Profiles are data: each one is valid, and an account may override any value."""

from __future__ import annotations

import re
from typing import Any

import pytest

from config import ROOT, ConfigurationError
from providers.api_pix.profiles import (
    FOLDER,
    BankDoor,
    BankProfile,
    CallbackRules,
    ClientField,
    CodeCall,
    ProfileError,
    SandboxPay,
    all_profiles,
    load_profile,
    merged_profile,
    profile_names,
    read_profile,
)
from tests.providers.stand_in_dialects import DIALECTS
from tests.support.service import close_app, ready_app, settings_for

APP_KEY = {"extra": {"gw-dev-app-key": "d27b67790cffab50136be17db0050c56b9d1a5b1"}}


def test_there_is_a_profile_for_each_dialect():
    assert set(profile_names()) == set(DIALECTS)
    assert profile_names()[0] == "standard"


@pytest.mark.parametrize("name", profile_names())
def test_each_profile_is_whole(name: str):
    profile = load_profile(name)

    assert profile.title
    assert name == "standard" or "never tried" in profile.untried
    if name != "standard":
        extra = APP_KEY if name == "bb" else {}
        live, test = (merged_profile(name, place, extra) for place in ("live", "test"))
        assert live.base != test.base
        for one in (live, test):
            assert one.base.startswith("https://")
            assert one.token_url.startswith("https://")
        assert live.needs_certificate


def test_a_wrong_profile_is_refused_with_a_sentence():
    text = 'title = "Banco"\nuntried = "Never."\n'
    with pytest.raises(ProfileError, match="tokens_style is not a known member"):
        read_profile("new", text + 'tokens_style = "form"\n')
    with pytest.raises(ProfileError, match="is not TOML"):
        read_profile("new", text + "[")
    with pytest.raises(ProfileError, match="untried"):
        read_profile("new", 'title = "Banco"\n')
    with pytest.raises(ProfileError, match="There is no profile"):
        load_profile("../../core/secret")
    assert read_profile("new", text).token_style == "basic_form"


def test_the_standard_needs_the_addresses_of_the_account():
    with pytest.raises(ProfileError, match="has no base for live"):
        merged_profile("standard", "live", {})
    profile = merged_profile(
        "standard", "live", {"base": "https://b.example/v2/", "token_url": "https://b.example/t"}
    )
    assert (profile.base, profile.rate) == ("https://b.example/v2", None)


def test_overrides_add_to_headers_and_replace_the_rest():
    overrides: dict[str, Any] = {
        "headers": {"x-conta-corrente": "123"},
        "query": {"a": "b"},
        "rate": 10,
        "scopes": "cob.read",
        "token_style": "basic_json",
        "needs_certificate": False,
    }
    profile = merged_profile("sicoob", "test", overrides)

    assert profile.headers == {"client_id": "{client_id}", "x-conta-corrente": "123"}
    assert (profile.query, profile.rate) == ({"a": "b"}, 10)
    assert (profile.scopes, profile.token_style) == ("cob.read", "basic_json")
    assert not profile.needs_certificate


def test_another_base_moves_the_addresses_beside_it():
    profile = merged_profile("sicredi", "live", {"base": "http://127.0.0.1:5000/api/v2"})

    assert profile.base_by_resource == {"cob": "http://127.0.0.1:5000/api/v3"}
    assert profile.token_url == "http://127.0.0.1:5000/oauth/token"
    other = merged_profile("sicredi", "live", {"base": "https://sicredi.example/pix"})
    assert other.base_by_resource == {}
    bb = merged_profile("bb", "live", {**APP_KEY, "base": "https://bb.example/pix/v2"})
    assert bb.token_url == "https://oauth.bb.com.br/oauth/token"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"bases": "x"}, "bases is not a known member"),
        ({"base": "ftp://x"}, "must be an address"),
        ({"base": "https://user@x.example"}, "must be an address"),
        ({"token_url": 7}, "token_url"),
        ({"headers": {"Authorization": "x"}}, "cannot set the header"),
        ({"headers": {"x": "a\r\nb"}}, "printable"),
        ({"rate": 0}, "rate"),
        ({"put_path": "/cob"}, "put_path must have"),
        ({"base_by_resource": {"cobv": "https://x.example"}}, "knows no resource"),
        ({"extra": {"x": "y"}}, "knows no field 'x'"),
        ({"name": "efi"}, "cannot be overridden"),
    ],
)
def test_wrong_overrides_are_refused_with_a_sentence(overrides: dict[str, Any], words: str):
    with pytest.raises(ProfileError, match=words):
        merged_profile("efi", "test", overrides)


def test_a_field_of_the_account_goes_where_the_bank_wants_it():
    assert merged_profile("bb", "test", APP_KEY).query == APP_KEY["extra"]
    with pytest.raises(ProfileError, match="The bank needs the field 'gw-dev-app-key'"):
        merged_profile("bb", "test", {})
    with pytest.raises(ProfileError, match="wrong form"):
        merged_profile("inter", "test", {"extra": {"x-conta-corrente": "0123"}})
    inter = merged_profile("inter", "test", {"extra": {"x-conta-corrente": "123"}})
    assert inter.headers == {"x-conta-corrente": "123"}


def test_every_profile_says_what_was_never_tried():
    assert all(len(profile.untried) > 40 for profile in all_profiles().values())


def test_the_standards_file_explains_every_member():
    """Who writes the next bank's file copies this one."""
    text = (FOLDER / "standard.toml").read_text("utf-8")
    parts = (BankProfile, BankDoor, ClientField, CodeCall, CallbackRules, SandboxPay)
    members = {name for part in parts for name in part.model_fields}

    absent = {name for name in members if not re.search(rf"(?m)^(# )?\[*{name}\b", text)}
    assert absent == set()


def test_the_rate_follows_the_environment():
    """Inter's sandbox blocks who calls more than ten times a minute."""
    rates = [merged_profile("inter", place, {}).rate for place in ("live", "test")]
    assert rates == [120, 10]
    assert merged_profile("inter", "test", {"rate": 7}).rate == 7
    assert merged_profile("efi", "test", {}).rate is None


def test_no_scope_is_asked_for_that_no_call_needs():
    """A thief of the secret can use every scope that the bank granted."""
    addresses = {"base": "https://b.example/v2", "token_url": "https://b.example/t"}
    scopes = merged_profile("standard", "live", addresses).scopes
    assert scopes == "cob.write cob.read pix.write pix.read webhook.write webhook.read"


@pytest.fixture
def folder(tmp_path):
    """The operator's folder of profiles, with the one of the guide."""
    guide = (ROOT / "docs" / "go-live.md").read_text("utf-8")
    example = guide.partition("<!-- file: profile.toml -->")[2]
    text = example.partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "profiles"
    path.mkdir()
    (path / "banco-da-feira.toml").write_text(text, "utf-8")
    return path


@pytest.fixture
def start(tmp_path, fresh_database, clock):
    """Start the service with this folder."""
    apps = []

    def begin(folder):
        settings = settings_for(fresh_database("sqlite"), tmp_path, provider_profiles_dir=folder)
        apps.append(ready_app(settings, clock))
        return apps[-1]

    yield begin
    for app in apps:
        close_app(app)


def test_a_bank_is_added_by_a_file_of_the_operator(folder, start):
    """Without a release: the commands, the portal and the client know it."""
    app = start(folder)
    listed = app.test_cli_runner().invoke(args=["provider", "profiles"]).output
    assert "banco-da-feira: Banco da Feira" in listed
    assert "efi: Efí" in listed
    with app.app_context():
        assert "banco-da-feira" in all_profiles()
        profile = merged_profile("banco-da-feira", "test", {})
    assert (profile.rate, profile.token_style) == (10, "form")
    assert "banco-da-feira" not in profile_names()  # another installation has other files


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("efi.toml", None, "efi.toml has the name of a built-in profile"),
        ("Meu Banco.toml", None, "Meu Banco.toml has no good name"),
        ("banco.toml", "title = ", "The profile 'banco' is not TOML"),
        ("banco.toml", 'title = "B"\nuntried = "Never."\nsufix = 1', "sufix is not a known member"),
        ("banco.toml", b"\xff", "cannot be read, or is not UTF-8"),
        ("banco.toml", "put_path", "put_path must have {txid}"),
    ],
)
def test_a_wrong_file_ends_the_start_with_a_sentence(folder, start, name, text, sentence):
    """Not the first payment with it."""
    right = (folder / "banco-da-feira.toml").read_bytes()
    if text is None:
        text = right
    elif text == "put_path":
        text = b'put_path = "/cob"\n' + right
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        start(folder)


def test_a_folder_that_is_missing_ends_the_start(tmp_path, start):
    with pytest.raises(ConfigurationError, match="is not a folder"):
        start(tmp_path / "nowhere")
