"""Accounts: sign-up, sign-in, API keys, and which account a request acts for."""
