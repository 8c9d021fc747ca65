"""Client for Balcão, a self-hosted payment service for Pix. Only the standard library is needed.

from balcao import Balcao, verify_webhook

shop = Balcao("https://pay.example", api_key="balcao_live_…")
payment = shop.payments.create("54.90", order_id="1042")
print(payment.payment_url)
"""

from balcao.client import Balcao
from balcao.errors import (
    ApiError,
    BalcaoError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnexpectedAnswer,
    WebhookVerificationError,
)
from balcao.models import Delivery, Event, Page, Payment, Provider, Receipt, Refund, Webhook
from balcao.payments import PaymentTest
from balcao.signatures import verify_webhook
from balcao.transport import RetryPolicy
from balcao.version import VERSION as __version__

__all__ = [
    "ApiError",
    "Balcao",
    "BalcaoError",
    "Conflict",
    "ConnectionFailed",
    "Delivery",
    "Event",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "Page",
    "Payment",
    "PaymentTest",
    "Provider",
    "Receipt",
    "Refund",
    "RetryPolicy",
    "ServiceUnavailable",
    "TooManyRequests",
    "Unauthorized",
    "UnexpectedAnswer",
    "Webhook",
    "WebhookVerificationError",
    "__version__",
    "verify_webhook",
]
