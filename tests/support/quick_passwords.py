"""Check a right password against the same hash once per process.

A check takes 50 ms of a core by design, and nearly every test of a page signs in with the same
password and the same hash. A wrong password takes its time each time.
"""

from __future__ import annotations

from collections.abc import Callable

from accounts import passwords
from bank.money import payers

Check = Callable[[str, str], bool]


def share_checks() -> None:
    """Let the service and the bank of this process remember which password has which hash."""
    for module, name in ((passwords, "_verify"), (payers, "_matches")):
        setattr(module, name, remembering(getattr(module, name)))


def remembering(check: Check) -> Check:
    """The check, which does not compute a right pair of hash and password again."""
    right: set[tuple[str, str]] = set()

    def check_once(password_hash: str, password: str) -> bool:
        pair = (password_hash, password)
        if pair not in right and check(*pair):
            right.add(pair)
        return pair in right

    return check_once
