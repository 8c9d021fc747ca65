"""Signatures of messages and of payloads."""
