"""Signing secrets of endpoints, encrypted in the database under a key from SECRET_KEY."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.signing.signatures import new_secret
from core.webhook_errors import SecretUnreadable

_INFO = b"balcao webhook secrets 1"


class SecretBox:
    """Encrypt and decrypt secrets. Signing needs the secret itself, so a hash would not do."""

    def __init__(self, secret_key: str) -> None:
        """Derive the key; `secret_key` has at least 32 random bytes (config)."""
        derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_INFO)
        self._fernet = Fernet(base64.urlsafe_b64encode(derive.derive(secret_key.encode())))

    def new(self) -> tuple[str, str]:
        """A fresh secret, `whsec_` and base64, and its encrypted form."""
        secret = new_secret()
        return secret, self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret of an encrypted form. Raises SecretUnreadable."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise SecretUnreadable("SECRET_KEY has changed. Rotate the secret.") from None
