"""Build the parts of an application, without a query or a connection yet."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_socketio import SocketIO

from accounts import csrf
from accounts.keys import KeyUses, write_key_use
from accounts.oauth_clients import write_client_use
from accounts.refusals import RefusalNotes
from blueprints.portal.figures import ClosedDays
from blueprints.transactions.merchant_sockets import MerchantSockets
from config import Settings
from core.clock import Clock
from core.runtime.parts import Parts
from core.runtime.turns import Turns
from core.signing.failures import SignatureFailures
from payments.at_bank.callbacks import CallbackStore
from payments.at_bank.calls import ChargeCalls
from payments.at_bank.health import AccountNews
from payments.at_bank.opening import open_at_bank
from payments.location import KeyRing
from payments.presenter import Presenter
from providers.accounts import build_provider_clients
from realtime.allowance import Connections
from realtime.announcer import Announcer
from realtime.channel import Channel, connect
from realtime.credentials import Watchings
from repository.database import open_database
from web.limits import Limits
from web.metrics import Metrics
from web.request_counts import RequestCounts
from webhooks.parts import build_webhooks


def build_parts(app: Flask, settings: Settings, clock: Clock) -> Parts:
    """Build the parts of an app."""
    metrics = Metrics()
    limits = Limits(settings.redis_url, metrics.reached_limits)
    socketio = SocketIO()
    service = (settings.secret_key, settings.secret_key_previous)
    channel = Channel(settings.redis_url, *service) if settings.redis_url else None
    start: Any = socketio.start_background_task  # its stubs are too narrow
    sleep: Any = socketio.sleep
    watchings = Watchings(app, start, sleep)
    return Parts(
        started_at=clock.now(),
        ledger=open_database(app, settings, clock),
        redis=connect(settings.redis_url) if settings.redis_url else None,
        metrics=metrics,
        limits=limits,
        request_counts=RequestCounts(limits.count),
        turns=Turns(),
        csrf_key=csrf.key_for(settings),
        key_uses=KeyUses(write_key_use),
        oauth_client_uses=KeyUses(write_client_use),
        refusal_notes=RefusalNotes(),
        key_ring=KeyRing(settings),
        presenter=Presenter(settings.public_url, settings.is_live),
        closed_days=ClosedDays(),
        socketio=socketio,
        announcer=Announcer(app, socketio, channel),
        connections=Connections(settings.sockets_per_address_max),
        watchings=watchings,
        merchant_sockets=MerchantSockets(app, watchings, start, sleep),
        signature_failures=SignatureFailures(),
        webhooks=build_webhooks(app, settings),
        provider_clients=build_provider_clients(settings),
        charge_calls=ChargeCalls(app, open_at_bank),
        account_news=AccountNews(),
        callbacks=CallbackStore(),
    )
