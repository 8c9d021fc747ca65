"""The tests' memory of right passwords answers as the checks themselves do."""

from __future__ import annotations

from tests.support.quick_passwords import remembering


def test_only_a_right_password_is_remembered_and_for_its_own_hash_alone():
    """A test that changes a password must see the old one refused."""
    computed = []

    def check(password_hash, password):
        computed.append((password_hash, password))
        return password_hash == f"hash of {password}"

    check_once = remembering(check)
    for _ in range(2):
        assert check_once("hash of one", "one")
        assert not check_once("hash of one", "other")
        assert not check_once("hash of other", "one")
    assert computed.count(("hash of one", "one")) == 1
    assert computed.count(("hash of one", "other")) == 2
    assert computed.count(("hash of other", "one")) == 2
