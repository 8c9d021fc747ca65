"""Tools for developers: bursts, chaos, the signature doctor."""
