"""The demo merchant of development: requests without credentials act for it."""

from __future__ import annotations

from functools import lru_cache

from accounts import oauth_clients, passwords, service
from accounts.access import DEMO_LOGIN
from config import ConfigurationError, Settings
from db_models.account import MERCHANT
from repository.database import Work, in_unit_of_work, reading

NAME = "Feira da Vila"
CITY = "São Paulo"
ADDRESS = {
    "document": "12345678000195",
    "street": "Rua da Feira, 1",
    "state": "SP",
    "postal_code": "01310100",
}
SUPPORT = "mailto:ola@feiradavila.example"
CLIENT_LABEL = "API Pix (demo)"
INSTITUTION = "Banco Garoa"
"""The simulated bank, which also keeps the merchant's money."""


def ensure_demo_merchant(settings: Settings) -> None:
    """Create the demo merchant, or update its Pix key, address, password and client of API Pix.

    Raises ConfigurationError if DEMO_CLIENT_ID belongs to another merchant.
    """
    with reading() as work:
        account = work.accounts.find_by_login(DEMO_LOGIN)
    stored_hash = None if account is None else account.password_hash
    is_right = _is_right(settings.demo_password, stored_hash)
    password_hash = stored_hash if is_right and stored_hash else _hash(settings.demo_password)
    in_unit_of_work(lambda work: _ensure(work, settings, password_hash))


def _ensure(work: Work, settings: Settings, password_hash: str) -> None:
    current = {
        "pix_key": settings.demo_pix_key,
        "shop_url": f"{settings.public_url}/",
        "password_hash": password_hash,
    }
    account = work.accounts.find_by_login(DEMO_LOGIN)
    if account is None:
        service.create(
            work,
            login=DEMO_LOGIN,
            role=MERCHANT,
            name=NAME,
            city=CITY,
            logo_url="/static/img/shop.svg",
            support_url=SUPPORT,
            institution=INSTITUTION,
            **ADDRESS,
            is_demo=True,
            **current,
        )
    elif account.document is None:
        work.accounts.change(account.id, current | ADDRESS)
    elif any(getattr(account, name) != value for name, value in current.items()):
        work.accounts.change(account.id, current)
    merchant = work.accounts.by_login(DEMO_LOGIN)
    client = oauth_clients.ensure_client(
        work, merchant, settings.demo_client_id, settings.demo_client_secret, CLIENT_LABEL
    )
    if client is None:
        raise ConfigurationError("DEMO_CLIENT_ID is the id of another merchant's client.")


@lru_cache(maxsize=8)
def _is_right(password: str, password_hash: str | None) -> bool:
    return passwords.is_right(password, password_hash)


@lru_cache(maxsize=8)
def _hash(password: str) -> str:
    return passwords.hash_password(password)
