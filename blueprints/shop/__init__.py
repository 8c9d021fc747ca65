"""The demo shop: what a developer's own shop would do, in one small file."""
