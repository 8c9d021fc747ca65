"""A cache of so many values drops the one that was not used for the longest time."""

from __future__ import annotations

from core.bounded_cache import BoundedCache


def test_what_is_used_stays():
    """Reading a value counts as using it."""
    cache: BoundedCache[int] = BoundedCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert list(cache) == ["a", "c"]


def test_a_new_value_under_a_key_drops_no_other_value():
    """The cache has no more values than before."""
    cache: BoundedCache[int] = BoundedCache(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3)):
        cache.put(key, value)
    assert (cache.get("a"), cache.get("b"), len(cache)) == (3, 2, 2)
