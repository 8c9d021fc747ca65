"""Terms of charges with a due date, for properties that must hold for all of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import strategies as st

from core.pix.due_terms import (
    DATED_DISCOUNTS,
    Abatement,
    AbatementMode,
    DatedDiscount,
    Discount,
    DiscountMode,
    DueTerms,
    Fine,
    FineMode,
    Interest,
    InterestMode,
)

DUE_DATES = st.dates(date(2020, 1, 1), date(2030, 12, 31))
VALUES = st.one_of(
    st.decimals(0, 150, places=2),
    st.decimals(Decimal("0.00"), Decimal("9999999999.99"), places=2),
).map(abs)  # no negative zero


def dated_discounts(due_date: date) -> st.SearchStrategy[tuple[DatedDiscount, ...]]:
    """One to three discounts until different dates up to the due date."""
    days = st.dates(date(2019, 12, 1), due_date)
    discounts = st.builds(DatedDiscount, days, VALUES)
    return st.lists(discounts, min_size=1, max_size=3, unique_by=lambda one: one.day).map(tuple)


def discounts_of(due_date: date) -> st.SearchStrategy[Discount]:
    """A discount in one of the six modes, with the members of its mode."""
    dated = st.builds(
        Discount, st.sampled_from(sorted(DATED_DISCOUNTS)), dates=dated_discounts(due_date)
    )
    daily = st.builds(
        Discount, st.sampled_from(sorted(set(DiscountMode) - DATED_DISCOUNTS)), VALUES
    )
    return st.one_of(dated, daily)


def terms_of(due_date: date) -> st.SearchStrategy[DueTerms]:
    """Terms with this due date, and any of the components."""
    return st.builds(
        DueTerms,
        st.just(due_date),
        st.integers(0, 120),
        st.none() | st.builds(Fine, st.sampled_from(FineMode), VALUES),
        st.none() | st.builds(Interest, st.sampled_from(InterestMode), VALUES),
        st.none() | st.builds(Abatement, st.sampled_from(AbatementMode), VALUES),
        st.none() | discounts_of(due_date),
    )


TERMS = DUE_DATES.flatmap(terms_of)
"""Well-formed terms, many of which `due_violations` refuses."""
