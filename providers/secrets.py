"""Secrets of provider accounts, encrypted in the database under a key from SECRET_KEY."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, fields

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.provider_errors import ProviderSecretsUnreadable

_INFO = b"balcao provider secrets 1"


@dataclass(frozen=True, repr=False)
class AccountSecrets:
    """What nobody but the bank may learn of an account. It has no `repr`, so that no log has it."""

    client_id: str
    client_secret: str
    """Empty at banks where the certificate is the whole proof."""
    callback_token: str
    """In the address of callbacks."""
    certificate_pem: str = ""
    """The client certificate, then its chain; empty without mutual TLS."""
    private_key_pem: str = ""
    """PKCS #8, not encrypted."""
    ca_pem: str = ""
    """Authorities that sign the bank's certificate; empty for the public ones."""


class AccountVault:
    """Encrypt and decrypt the secrets of accounts."""

    def __init__(self, secret_key: str, previous_key: str | None = None) -> None:
        """Encrypt under `secret_key`; decrypt under both, which have 32 random bytes (config)."""
        keys = [_fernet(key) for key in (secret_key, previous_key) if key]
        self._current = keys[0]
        self._any = MultiFernet(keys)

    def seal(self, secrets: AccountSecrets) -> str:
        """The encrypted form."""
        return self._current.encrypt(json.dumps(asdict(secrets)).encode()).decode()

    def open(self, sealed: str) -> AccountSecrets:
        """The secrets of an encrypted form. Raises ProviderSecretsUnreadable."""
        try:
            members = json.loads(self._any.decrypt(sealed.encode()))
        except InvalidToken:
            raise ProviderSecretsUnreadable from None
        names = {field.name for field in fields(AccountSecrets)}
        return AccountSecrets(**{name: text for name, text in members.items() if name in names})

    def renewed(self, sealed: str) -> str | None:
        """The secrets encrypted under the present SECRET_KEY; None if they are already.

        Raises ProviderSecretsUnreadable.
        """
        try:
            self._current.decrypt(sealed.encode())
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None


def _fernet(secret_key: str) -> Fernet:
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_INFO)
    return Fernet(base64.urlsafe_b64encode(derive.derive(secret_key.encode())))
