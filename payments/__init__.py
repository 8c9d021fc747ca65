"""Payments: the rules, the operations, and the APIs for merchants and the bank."""
