"""The process itself: memory, pools, secret files."""
