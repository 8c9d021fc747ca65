"""What a scanner of QR codes looks for in the tests."""

from __future__ import annotations

import zxingcpp

QR_CODES = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
"""A reader of all kinds takes some random modules for a code of another kind."""
