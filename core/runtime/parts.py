"""The parts of one application, built once by `server.parts.build_parts`.

A request reaches them by `config.current_parts()`. This module imports the types of the parts only
for the type checker, because the lowest folder must not import from the folders above it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis
    from flask_socketio import SocketIO

    from accounts.keys import KeyUses
    from accounts.refusals import RefusalNotes
    from blueprints.portal.figures import ClosedDays
    from blueprints.transactions.merchant_sockets import MerchantSockets
    from core.runtime.turns import Turns
    from core.signing.failures import SignatureFailures
    from db_models import Account
    from payments.at_bank.callbacks import CallbackStore
    from payments.at_bank.calls import ChargeCalls
    from payments.at_bank.health import AccountNews
    from payments.demo_month import PaidSale
    from payments.location import KeyRing
    from payments.presenter import Presenter
    from providers.accounts import ProviderClients
    from realtime.allowance import Connections
    from realtime.announcer import Announcer
    from realtime.credentials import Watchings
    from repository.ledgers import Ledger
    from web.limits import Limits
    from web.metrics import Metrics
    from web.request_counts import RequestCounts
    from webhooks.parts import WebhookParts

EXTENSION = "balcao"
"""The key in `app.extensions`."""


@dataclass(frozen=True)
class Parts:
    """Everything that outlives a request."""

    started_at: datetime
    ledger: Ledger
    redis: redis.Redis | None
    metrics: Metrics
    limits: Limits
    request_counts: RequestCounts
    turns: Turns
    csrf_key: bytes
    key_uses: KeyUses
    oauth_client_uses: KeyUses
    refusal_notes: RefusalNotes
    key_ring: KeyRing
    presenter: Presenter
    closed_days: ClosedDays
    socketio: SocketIO
    announcer: Announcer
    connections: Connections
    watchings: Watchings
    merchant_sockets: MerchantSockets
    signature_failures: SignatureFailures
    webhooks: WebhookParts
    provider_clients: ProviderClients
    charge_calls: ChargeCalls
    account_news: AccountNews
    callbacks: CallbackStore
    sign_up_listeners: list[Callable[[Account, str | None], dict[str, Any]]] = field(
        default_factory=list
    )
    """Called after the commit with the account and the PIN; what they return joins the answer."""
    robot_listeners: list[Callable[[str], None]] = field(default_factory=list)
    """Called after the commit with the id of a new payment that the bank's robot shall pay."""
    batch_listeners: list[Callable[[], None]] = field(default_factory=list)
    """Called after the commit of a batch of charges, which a job carries out."""
    seed_listeners: list[Callable[[Sequence[PaidSale]], None]] = field(default_factory=list)
    """Called by `flask seed` after its commits, with what the demo merchant has been paid."""
