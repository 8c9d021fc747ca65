"""The payment: its rules, its verbs, and the door of the shop and the bank."""
