"""A soak: constant load, a fault every minute, and a ledger at the end (docs/performance.md)."""
