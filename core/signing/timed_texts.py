"""Signed texts that carry the time of their signature."""

from __future__ import annotations

from datetime import datetime

from itsdangerous import BadTimeSignature, TimestampSigner, URLSafeTimedSerializer


class _Signer(TimestampSigner):
    def timestamp_to_datetime(self, ts: int) -> datetime:
        """The time of a signature. Raises BadTimeSignature for one after the year 9999."""
        try:
            return super().timestamp_to_datetime(ts)
        except (ValueError, OverflowError, OSError):
            raise BadTimeSignature("the time does not exist") from None


class TimedTexts(URLSafeTimedSerializer):
    """itsdangerous' serializer; its own lets errors of other kinds escape for absurd times."""

    default_signer: type[_Signer] = _Signer
