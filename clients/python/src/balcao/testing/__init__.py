"""Test a shop against a private Balcão with its simulated bank: `pytest --balcao`.

The fixture `balcao` of `balcao.testing.plugin` is a `Sandbox`. Nothing here needs pytest but the
plugin.
"""

from balcao.testing.clock import MovableClock
from balcao.testing.errors import NotReached, SandboxError
from balcao.testing.sandbox import Sandbox
from balcao.testing.webhooks import ReceivedWebhook, ShopWebhooks

__all__ = [
    "MovableClock",
    "NotReached",
    "ReceivedWebhook",
    "Sandbox",
    "SandboxError",
    "ShopWebhooks",
]
