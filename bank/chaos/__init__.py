"""Faults injected on purpose: scenarios, and the mix that payments draw from."""
