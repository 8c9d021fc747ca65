"""The demo shop: an example of a developer's shop, in one small file."""
