"""Errors of merchants; `core.errors` has the tree."""

from __future__ import annotations

from core.errors import Conflict


class PixKeyMissing(Conflict):
    """The merchant has not said yet to which Pix key money goes."""

    code = "pix-key-missing"
    title = "The merchant has no Pix key"

    def __init__(self) -> None:
        """The detail says where to enter the key."""
        super().__init__(
            "The merchant has not entered a Pix key yet. Enter it in the portal, "
            "at /portal/settings#pix-key, then try again."
        )
