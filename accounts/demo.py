"""The demo merchant of the development profile: whoever sends no credentials acts for it."""

from __future__ import annotations

from functools import lru_cache

from accounts import passwords, service
from accounts.access import DEMO_LOGIN
from config import Settings
from db_models.account import MERCHANT
from repository.database import Work, in_unit_of_work, reading

NAME = "Feira da Vila"
CITY = "São Paulo"
SUPPORT = "mailto:ola@feiradavila.example"


def ensure_demo_merchant(settings: Settings) -> None:
    """Make the demo merchant, or bring its key, address and password up to date."""
    with reading() as work:
        found = work.accounts.find_by_login(DEMO_LOGIN)
    known = None if found is None else found.password_hash
    password_hash = known if _is_known(settings.demo_password, known) else None
    fresh_hash = password_hash or _hashed(settings.demo_password)
    in_unit_of_work(lambda work: _ensure(work, settings, fresh_hash))


def _ensure(work: Work, settings: Settings, password_hash: str) -> None:
    current = {
        "pix_key": settings.demo_pix_key,
        "shop_url": f"{settings.public_url}/",
        "password_hash": password_hash,
    }
    found = work.accounts.find_by_login(DEMO_LOGIN)
    if found is None:
        service.create(
            work,
            login=DEMO_LOGIN,
            role=MERCHANT,
            name=NAME,
            city=CITY,
            logo_url="/static/img/shop.svg",
            support_url=SUPPORT,
            is_demo=True,
            **current,
        )
    elif any(getattr(found, name) != value for name, value in current.items()):
        work.accounts.change(found.id, current)


@lru_cache(maxsize=8)
def _is_known(password: str, known_hash: str | None) -> bool:
    return passwords.is_right(password, known_hash)


@lru_cache(maxsize=8)
def _hashed(password: str) -> str:
    return passwords.hashed(password)
