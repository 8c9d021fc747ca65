"""Webhooks of merchants: the requests by which the service reports events."""
