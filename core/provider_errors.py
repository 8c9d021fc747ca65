"""Errors of real banks and of the accounts there; `core.errors` has the tree."""

from __future__ import annotations

from core.errors import BalcaoError, Conflict, NotFound


class ProviderUnavailable(BalcaoError):
    """The bank has not given the code of a new charge in time; the same request finishes it."""

    code = "provider-unavailable"
    title = "The bank has not answered in time"

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 5) -> None:
        """`retry_after_seconds` is the header `Retry-After`."""
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class ProviderRefused(Conflict):
    """The bank of the merchant's account refuses the charge."""

    code = "provider-refused"
    title = "The merchant's bank refuses this charge"


class ProviderUnsupported(Conflict):
    """The account at a real bank cannot do what the simulated bank can."""

    code = "provider-unsupported"
    title = "The merchant's bank cannot do this"


class ProviderAccountNotFound(NotFound):
    """The merchant has no provider account with this id."""

    code = "provider-account-not-found"
    title = "This provider account does not exist"


class ProviderSecretsUnreadable(Conflict):
    """The secrets of an account were encrypted under another SECRET_KEY."""

    code = "provider-secrets-unreadable"
    title = "The account's secrets cannot be read"

    def __init__(self) -> None:
        """The detail says what to do."""
        super().__init__(
            "SECRET_KEY has changed since the account was stored. Set SECRET_KEY_PREVIOUS to the "
            "old key, run `flask secrets reencrypt`, or enter the credentials again."
        )
