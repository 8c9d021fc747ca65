"""The long-lived objects of webhooks, one set per application."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from config import Settings
from webhooks.dispatcher import Dispatcher
from webhooks.secrets import SecretBox
from webhooks.sender import WebhookSender
from webhooks.streams import Streams
from webhooks.worker import Worker


@dataclass(frozen=True)
class WebhookParts:
    """What sends events, and what streams them."""

    secrets: SecretBox
    worker: Worker
    streams: Streams
    allow_private: bool


def build_webhooks(app: Flask, settings: Settings) -> WebhookParts:
    """Build the parts; nothing runs before `worker.start`."""
    secrets = SecretBox(settings.secret_key, settings.secret_key_previous)
    sender = WebhookSender(allow_private=settings.webhook_allow_private)
    worker = Worker(app, Dispatcher(app, sender, secrets))
    return WebhookParts(secrets, worker, Streams(app), settings.webhook_allow_private)
