"""Signing secrets of endpoints, encrypted in the database under a key from SECRET_KEY."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.signing.signatures import new_secret
from core.webhook_errors import SecretUnreadable

_INFO = b"balcao webhook secrets 1"


class SecretBox:
    """Encrypt and decrypt secrets. Signing needs the secret itself, so a hash would not do."""

    def __init__(self, secret_key: str, previous_key: str | None = None) -> None:
        """Encrypt under `secret_key`; decrypt under both, which have 32 random bytes (config)."""
        keys = [_fernet(key) for key in (secret_key, previous_key) if key]
        self._current = keys[0]
        self._any = MultiFernet(keys)

    def new(self) -> tuple[str, str]:
        """A fresh secret, `whsec_` and base64, and its encrypted form."""
        secret = new_secret()
        return secret, self._current.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret of an encrypted form. Raises SecretUnreadable."""
        try:
            return self._any.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise SecretUnreadable("SECRET_KEY has changed. Rotate the secret.") from None

    def renewed(self, sealed: str) -> str | None:
        """The secret encrypted under the present key; None if it is already.

        Raises SecretUnreadable.
        """
        try:
            self._current.decrypt(sealed.encode())
        except InvalidToken:
            return self._current.encrypt(self.open(sealed).encode()).decode()
        return None


def _fernet(secret_key: str) -> Fernet:
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_INFO)
    return Fernet(base64.urlsafe_b64encode(derive.derive(secret_key.encode())))
