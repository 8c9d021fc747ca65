"""A simulated bank, or one that speaks its protocol, as this service asks and believes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode


class NamedBanks(Protocol):
    """The settings that name the banks."""

    @property
    def is_development(self) -> bool: ...
    @property
    def asks_bank(self) -> bool: ...
    @property
    def bank_url(self) -> str: ...
    @property
    def bank_internal_url(self) -> str: ...
    @property
    def bank_webhook_secret(self) -> str: ...
    @property
    def bank_webhook_secret_previous(self) -> str | None: ...
    @property
    def test_bank_url(self) -> str | None: ...
    @property
    def test_bank_internal_url(self) -> str | None: ...
    @property
    def test_bank_webhook_secret(self) -> str | None: ...


TEST_BANK_ISPB = "99999004"
"""The number of the bank of test halves. It is invented, so no real Pix begins with it."""


@dataclass(frozen=True)
class BankPeer:
    """Where a bank is, and the secrets that sign the messages of both sides."""

    url: str
    """For browsers."""
    internal_url: str
    """For the service's own requests."""
    secrets: tuple[str, ...] = field(repr=False)
    """Each may sign the bank's messages; the service signs with the first one."""
    is_test: bool = False
    """Whether this is the bank of test halves. Its messages touch money of test halves alone, and
    those of the other bank never do."""

    def page_of_code(self, code: str, **query: Any) -> str:
        """The bank's page on which a person pays a BR Code, with the code filled in."""
        return f"{self.url}/pay?{urlencode({'code': code, **query})}"


def banks_of(settings: NamedBanks) -> tuple[BankPeer, ...]:
    """The bank of merchants, and that of test halves if there is one."""
    secrets = (settings.bank_webhook_secret, settings.bank_webhook_secret_previous)
    live = BankPeer(
        settings.bank_url, settings.bank_internal_url, tuple(one for one in secrets if one)
    )
    url, secret = settings.test_bank_url, settings.test_bank_webhook_secret
    if url is None or secret is None:
        return (live,)
    internal_url = settings.test_bank_internal_url or url
    return (live, BankPeer(url, internal_url, (secret,), is_test=True))


def bank_to_ask(settings: NamedBanks, is_test_half: bool) -> BankPeer | None:
    """The bank to ask about payments of test halves, or of merchants; None if there is none."""
    live, *test = banks_of(settings)
    if settings.is_development:
        return live
    if is_test_half:
        return test[0] if test else None
    return live if settings.asks_bank else None
