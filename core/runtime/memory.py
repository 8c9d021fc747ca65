"""Return large freed blocks of memory to the system at once."""

from __future__ import annotations

import ctypes
from functools import lru_cache

_M_MMAP_THRESHOLD = -3
"""`man 3 mallopt`."""
_LARGE_BYTES = 1024 * 1024


@lru_cache(maxsize=1)
def return_large_blocks() -> bool:
    """Make malloc return every freed block of a megabyte or more; False if it cannot.

    After the first large block is freed, glibc would keep such blocks in one arena per thread, so
    that each thread that unpacks pictures would hold tens of megabytes for ever.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
