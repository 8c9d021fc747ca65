"""Profiles of banks: what differs from bank to bank, as data in `providers/profiles/*.toml`.

A profile is a file, so that the next bank is no release: an operator adds files in a folder of its
own (PROVIDER_PROFILES_DIR). An account may override each value, because banks move their addresses
and headers without notice. All are validated by one schema.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from flask import has_app_context
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from config import current_settings
from providers.api_pix.reading import CODE_MEMBERS

FOLDER = Path(__file__).parents[1] / "profiles"
DEFAULT = "standard"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_RESERVED_HEADERS = frozenset(
    "authorization host content-length transfer-encoding connection cookie".split()  # noqa: SIM905
)
_RESOURCES = ("cob", "cob-patch", "pix", "webhook", "loc")

TokenStyleName = Literal[
    "basic_form", "basic_json", "form", "form_nosecret", "json", "query_form", "query_all"
]


class ProfileError(ValueError):
    """A profile or an override is wrong; the text is one sentence for the person who set it."""


def _address(value: str) -> str:
    parts = urlsplit(value)
    is_whole = parts.scheme in ("https", "http") and parts.hostname
    if not is_whole or "@" in parts.netloc or parts.fragment or any(map(str.isspace, value)):
        raise ValueError("must be an address that begins with https://")
    return value.rstrip("/")


def _visible(value: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise ValueError("must be printable ASCII")
    return value


def _path(value: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9/{}_.-]+", value):
        raise ValueError("must be a path that begins with /")
    return value


def _header_names(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _HEADER_NAME.fullmatch(name.replace("_", "-")) or name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"cannot set the header {name[:64]!r}")
    return value


def _resource_names(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if name not in _RESOURCES:
            raise ValueError(f"knows no resource {name[:32]!r}, but " + ", ".join(_RESOURCES))
    return value


Address = Annotated[str, Field(max_length=300), AfterValidator(_address)]
Visible = Annotated[str, Field(max_length=300), AfterValidator(_visible)]
UrlPath = Annotated[str, Field(max_length=100), AfterValidator(_path)]
Headers = Annotated[dict[str, Visible], AfterValidator(_header_names)]
Bases = Annotated[dict[str, Address], AfterValidator(_resource_names)]
Rate = Annotated[int, Field(gt=0, le=100_000)] | None
Sentence = Annotated[str, Field(min_length=1, max_length=600)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BankDoor(_Strict):
    """Where a bank answers in one environment."""

    base: Address
    token_url: Address
    base_by_resource: Bases = {}
    """`cob`, `cob-patch` (PATCH alone), `pix`, `webhook`, `loc`: another base than `base`."""
    needs_certificate: bool = True
    rate: Rate = None
    """In place of the profile's rate in this environment."""


class ClientField(_Strict):
    """A value of the account that the bank wants with each call, such as an application key."""

    name: Visible
    place: Literal["query", "header"]
    label: Sentence
    """In Portuguese, for the portal."""
    label_en: Sentence
    required: bool = True
    pattern: str = ".{1,200}"


class CodeCall(_Strict):
    """A second call that answers the code of a charge."""

    path: UrlPath
    """With `{txid}` or `{loc_id}`."""
    resource: str = "cob"
    member: str
    is_base64: bool = False


class CallbackRules(_Strict):
    """How the bank calls back."""

    headers: Headers = {}
    """Headers of the registration."""
    addresses: list[str] = []
    """From where the bank calls, if it says so; shown to the operator, for a firewall."""
    ca_hint: str = ""
    """Where the authority of the bank's client certificate is published; shown to the operator."""


class SandboxPay(_Strict):
    """How a charge of the test environment gets paid."""

    how: Literal["none", "by-itself", "by-txid", "by-code", "by-hand"] = "none"
    text: str = ""
    """One sentence for the person who tests, in English."""


class BankRules(_Strict):
    """All that an account may override, apart from the addresses. The defaults are the standard."""

    token_style: TokenStyleName = "basic_form"  # noqa: S105 - the name of a form
    token_ok: list[int] = [200, 201]
    scopes: str | None = "cob.write cob.read pix.write pix.read webhook.write webhook.read"
    query: dict[str, Visible] = {}
    headers: Headers = {}
    """`{uuid}` stands for a new UUID per call, `{client_id}` for the account's client id."""
    rate: Rate = None
    """Calls per minute that the bank allows; None if it says nothing."""
    put_path: UrlPath = "/cob/{txid}"
    code_members: Annotated[list[str], Field(max_length=12)] = list(CODE_MEMBERS)
    code_call: CodeCall | None = None
    builds_code: bool = True
    """Whether a code may be built from `location` if the bank gives none (bacen/pix-api 121)."""
    missing_statuses: list[int] = [404]
    """Besides these a bank's 400 counts whose code says `nao encontrad…`."""
    window_days: Annotated[float, Field(gt=0, le=366)] = 4.0
    """The longest window of a list that the bank answers; a day at a time is read at most."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    sends_page_size: bool = True
    txid_filter: str = "txid"
    returned_filter: str = "devolucaoPresente"
    """The filter of `GET /pix` for Pix with returns; without one all Pix are read."""
    returned_days: Annotated[int, Field(ge=1, le=366)] = 90
    """How old a Pix may be whose returns are looked for each day."""
    ms_in_query: bool = False
    """Whether instants in a query have milliseconds."""
    lifetime_min: Annotated[int, Field(gt=0)] = 1
    lifetime_max: Annotated[int, Field(gt=0)] = 2_147_483_647
    lag_seconds: Annotated[float, Field(ge=0, le=30)] = 2.0
    """How long a charge may be missing after it was created."""
    callback: CallbackRules = CallbackRules()
    sandbox_pay: SandboxPay = SandboxPay()


class BankProfile(BankRules):
    """One file of `providers/profiles`."""

    title: Sentence
    untried: Sentence
    """That nobody has tried it against the bank, and what to look at; in English."""
    client_fields: list[ClientField] = []
    live: BankDoor | None = None
    test: BankDoor | None = None


class AccountProfile(BankRules, BankDoor):
    """What the client of one account works with."""

    name: str

    @model_validator(mode="after")
    def _fits(self) -> AccountProfile:
        if "{txid}" not in self.put_path:
            raise ValueError("put_path must have {txid}")
        if self.lifetime_min > self.lifetime_max:
            raise ValueError("lifetime_min must not be over lifetime_max")
        return self


def profile_names() -> list[str]:
    """The names of all profiles, the operator's own too; that of the standard is first."""
    names = {*_built_in(), *_profiles_in(_operators_folder())}
    return [DEFAULT, *sorted(names - {DEFAULT})]


def load_profile(name: str) -> BankProfile:
    """The profile with this name. Raises ProfileError."""
    if name in _built_in():
        return _built_in()[name]
    profile = _profiles_in(_operators_folder()).get(name)
    if profile is None:
        raise ProfileError(f"There is no profile {name[:32]!r}.")
    return profile


@cache
def _built_in() -> dict[str, BankProfile]:
    return _read_folder(FOLDER)


def _operators_folder() -> Path | None:
    return current_settings().provider_profiles_dir if has_app_context() else None


@cache
def _profiles_in(folder: Path | None) -> dict[str, BankProfile]:
    """The operator's profiles, as they were when the process began. Raises ProfileError."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ProfileError(f"PROVIDER_PROFILES_DIR: {folder} is not a folder.")
    profiles = _read_folder(folder)
    hidden = sorted(profiles.keys() & _built_in().keys())
    if hidden:
        raise ProfileError(
            f"{folder / hidden[0]}.toml has the name of a built-in profile: give it another one."
        )
    return profiles


def _read_folder(folder: Path) -> dict[str, BankProfile]:
    profiles = {}
    for path in sorted(folder.glob("*.toml")):
        if not _NAME.fullmatch(path.stem):
            raise ProfileError(
                f"{path} has no good name: use up to 32 of a to z, 0 to 9 and -, then .toml."
            )
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise ProfileError(f"{path} cannot be read, or is not UTF-8.") from None
        profiles[path.stem] = read_profile(path.stem, text)
    return profiles


def check_folder(folder: Path | None) -> None:
    """Read the operator's profiles for the rest of the process. Raises ProfileError."""
    _profiles_in(folder)
    if folder is None:
        return
    for name, profile in _profiles_in(folder).items():
        for environment, door in (("live", profile.live), ("test", profile.test)):
            if door is not None:
                _check_rules(name, environment, profile, door)


def _check_rules(name: str, environment: str, profile: BankProfile, door: BankDoor) -> None:
    """Check what only a whole account shows, such as `{txid}` in a path."""
    values = profile.model_dump(include=set(BankRules.model_fields))
    try:
        AccountProfile.model_validate({**values, **_members_of(door), "name": name})
    except ValidationError as error:
        reason = _sentence(error)
        raise ProfileError(f"The profile {name!r} is wrong for {environment}: {reason}") from None


def _members_of(door: BankDoor | None) -> dict[str, Any]:
    """The door's values; without a rate of its own the profile's counts."""
    members = door.model_dump() if door else {}
    if members.get("rate") is None:
        members.pop("rate", None)
    return members


def read_profile(name: str, text: str) -> BankProfile:
    """A profile from its TOML. Raises ProfileError."""
    try:
        return BankProfile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"The profile {name!r} is not TOML: {error}.") from None
    except ValidationError as error:
        raise ProfileError(f"The profile {name!r} is wrong: {_sentence(error)}") from None


def all_profiles() -> dict[str, BankProfile]:
    """Every profile by its name, that of the standard first."""
    return {name: load_profile(name) for name in profile_names()}


def merged_profile(
    name: str, environment: Literal["live", "test"] | str, overrides: Mapping[str, Any]
) -> AccountProfile:
    """The profile with the account's overrides, in its environment.

    `query`, `headers` and `base_by_resource` are added to those of the profile, and `extra` holds
    the values of `client_fields` by name; anything else replaces. Raises ProfileError.
    """
    profile = load_profile(name)
    rules = profile.model_dump(include=set(BankRules.model_fields))
    door = profile.live if environment == "live" else profile.test
    values = {**rules, **_members_of(door)}
    values["name"] = name
    changes = {key: value for key, value in overrides.items() if key != "extra"}
    if {"name"} & changes.keys():
        raise ProfileError("The account's values are wrong: name cannot be overridden.")
    for key in ("query", "headers", "base_by_resource"):
        if isinstance(changes.get(key), Mapping):
            changes[key] = {**values.get(key, {}), **changes[key]}
    values |= {**_moved_addresses(door, changes.get("base")), **changes}
    for key in ("base", "token_url"):
        if key not in values:
            raise ProfileError(f"The profile {name!r} has no {key} for {environment}: set it.")
    _add_extra(values, profile, overrides.get("extra", {}))
    try:
        return AccountProfile.model_validate(values)
    except ValidationError as error:
        raise ProfileError(f"The account's values are wrong: {_sentence(error)}") from None


def _moved_addresses(door: BankDoor | None, base: Any) -> dict[str, Any]:
    """The profile's other addresses beside another base, where they belong to the same server."""
    if door is None or not isinstance(base, str):
        return {}
    origin, path = _split(door.base)
    # What the account's base has in place of the profile's host.
    place = base.rstrip("/").removesuffix(path)
    if place == base.rstrip("/") and path:
        return {"base_by_resource": {}}
    others = {name: _split(url) for name, url in door.base_by_resource.items()}
    token_origin, token_path = _split(door.token_url)
    moved: dict[str, Any] = {
        "base_by_resource": {n: place + end for n, (host, end) in others.items() if host == origin}
    }
    return moved | ({"token_url": place + token_path} if token_origin == origin else {})


def _split(url: str) -> tuple[str, str]:
    """Scheme with host, and path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path


def _add_extra(values: dict[str, Any], profile: BankProfile, extra: Any) -> None:
    """Add the values of the account's own fields to the query or the headers."""
    if not isinstance(extra, Mapping):
        raise ProfileError("The account's values are wrong: extra must be a table.")
    fields = {field.name: field for field in profile.client_fields}
    for name in extra:
        if name not in fields:
            names = ", ".join(fields) or "none"
            raise ProfileError(f"The profile knows no field {str(name)[:64]!r}; it has: {names}.")
    for name, field in fields.items():
        place = "query" if field.place == "query" else "headers"
        value = extra.get(name)
        if value in (None, ""):
            if field.required and name not in values[place]:
                raise ProfileError(f"The bank needs the field {name!r}: {field.label_en}.")
            continue
        if not isinstance(value, str) or not re.fullmatch(field.pattern, value):
            raise ProfileError(f"The field {name!r} has a wrong form: {field.label_en}.")
        values[place] = {**values[place], name: value}


def _sentence(error: ValidationError) -> str:
    """The first fault, with the name of the member."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "is not a known member"
    return f"{place} {message}.".strip()
