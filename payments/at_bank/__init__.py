"""Payments whose charge is at a real bank: opening, closing, booking, returns."""
