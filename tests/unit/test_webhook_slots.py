"""Slots: who may be sent to now, so that nobody waits for somebody else's receiver."""

from __future__ import annotations

from types import SimpleNamespace

from webhooks.slots import (
    FAILING_SLOTS,
    FAILURES_FREE,
    PER_ENDPOINT,
    PER_MERCHANT,
    PROBE_MAX_SECONDS,
    SLOTS,
    SLOW_PER_MERCHANT,
    SLOW_SLOTS,
    Slots,
)


def endpoint(number, merchant=None):
    """An endpoint with this row id, of a merchant of its own."""
    return SimpleNamespace(id=number, merchant_id=merchant or number)


def test_a_new_endpoint_gets_one_request_and_a_quick_one_several():
    slots = Slots()
    first = slots.take(endpoint(1))
    assert len(first) == 1
    assert slots.take(endpoint(1)) == []
    slots.note(1, is_success=True, seconds=0.1)
    slots.free(first[0])
    assert len(slots.take(endpoint(1))) == PER_ENDPOINT
    assert slots.take(endpoint(1)) == []


def test_slow_receivers_never_take_every_slot():
    """However many there are; a quick one still gets all of its own."""
    slots = Slots()
    for number in range(1, 100):
        slots.take(endpoint(number))
    assert slots.in_use == SLOW_SLOTS < SLOTS
    slots.note(200, is_success=True, seconds=0.1)
    assert len(slots.take(endpoint(200))) == PER_ENDPOINT


def test_a_slow_success_leaves_the_fast_lane():
    slots = Slots()
    slots.note(1, is_success=True, seconds=0.1)
    slots.note(1, is_success=True, seconds=1.1)
    assert len(slots.take(endpoint(1))) == 1


def test_one_merchant_has_a_share():
    slots = Slots()
    for number in range(1, 11):
        slots.note(number, is_success=True, seconds=0.1)
        slots.take(endpoint(number, merchant=7))
    assert slots.in_use == PER_MERCHANT


def test_one_merchant_with_new_receivers_leaves_room_for_others():
    """And so do all receivers that failed last, for those of which nothing is known."""
    slots = Slots()
    for number in range(1, 11):
        slots.take(endpoint(number, merchant=7))
    assert slots.in_use == SLOW_PER_MERCHANT
    slots = Slots()
    for number in range(1, 100):
        slots.note(number, is_success=False, seconds=0.1)
        slots.take(endpoint(number))
    assert slots.in_use == FAILING_SLOTS < SLOW_SLOTS
    assert len(slots.take(endpoint(500))) == 1


def test_a_receiver_that_hangs_waits_as_long_as_it_hung():
    """So it has its slot for half of the time at most."""
    time = 0.0
    slots = Slots(lambda: time)
    for _ in range(FAILURES_FREE):
        slots.note(1, is_success=False, seconds=15.0)
    time = 14.9
    assert slots.take(endpoint(1)) == []
    time = 15.0
    assert len(slots.take(endpoint(1))) == 1


def test_an_endpoint_that_fails_again_and_again_is_probed_with_growing_pauses():
    """And a success ends the pauses at once."""
    time = 0.0
    slots = Slots(lambda: time)
    for _ in range(FAILURES_FREE - 1):
        slots.note(1, is_success=False, seconds=0.1)
    assert not slots.is_pausing(1)
    pauses = []
    for _ in range(8):
        slots.note(1, is_success=False, seconds=0.1)
        assert slots.take(endpoint(1)) == []
        start = time
        while slots.is_pausing(1):
            time += 0.25
        pauses.append(time - start)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.25, PROBE_MAX_SECONDS)
    slots.note(1, is_success=False, seconds=0.1)
    slots.note(1, is_success=True, seconds=0.1)
    assert len(slots.take(endpoint(1))) == PER_ENDPOINT


def test_a_slot_that_is_given_back_can_be_taken_again():
    slots = Slots()
    for _ in range(3 * SLOTS):
        [slot] = slots.take(endpoint(1))
        slots.free(slot)
    assert slots.in_use == 0
