"""Memory that was needed for a moment goes back to the system at once."""

from __future__ import annotations

import ctypes
from functools import lru_cache

_M_MMAP_THRESHOLD = -3
"""`man 3 mallopt`."""
_LARGE_BYTES = 1024 * 1024


@lru_cache(maxsize=1)
def return_large_blocks() -> bool:
    """From now on, give back every freed block of a megabyte or more; whether that can be asked.

    glibc would, after the first large block is freed, keep such blocks in an arena per thread:
    the threads that unpack pictures would each hold tens of megabytes for ever.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return False
