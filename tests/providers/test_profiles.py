"""Profiles are data: each one is valid, and an account may override any value."""

from __future__ import annotations

import re
from typing import Any

import pytest

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
