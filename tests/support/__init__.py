"""Servers, databases, a browser, and the fixtures for them."""
