"""Payments for clients of two other systems, which call them transactions."""
