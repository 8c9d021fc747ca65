"""Tools for developers: bursts, chaos commands and routes, the signature doctor."""
