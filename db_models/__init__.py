"""The tables, one file each: columns and constraints, no queries and no rules."""

from db_models.account import Account
from db_models.api_key import ApiKey
from db_models.audit_entry import AuditAction, AuditEntry
from db_models.charge import ChargeKind, ChargeRevision, Location
from db_models.charge_batch import (
    BatchItemStatus,
    ChargeBatch,
    ChargeBatchItem,
    ChargeBatchRequest,
)
from db_models.feed_entry import FeedCounter, FeedEntry
from db_models.idempotent_request import IdempotentRequest
from db_models.logo import Logo
from db_models.oauth_client import OAuthClient
from db_models.outgoing_mail import MailKind, OutgoingMail
from db_models.payer_bank_order import OrderKind, PayerBankOrder
from db_models.payment import Payment, PaymentStatus
from db_models.payment_event import EventName, PaymentEvent
from db_models.payment_trace import PaymentTrace, TraceKind
from db_models.provider_account import Environment, ProviderAccount
from db_models.provider_charge import ProviderCharge, ProviderChargeStatus
from db_models.provider_hint import ProviderHint
from db_models.receipt import Receipt, Verdict
from db_models.reconciliation import Reconciliation
from db_models.recovery_upload import ProofVerdict, RecoveryUpload
from db_models.recurrence_request import (
    RecurrenceRequest,
    RecurrenceRequestChange,
    RequestStatus,
)
from db_models.recurrences import (
    ClosingParty,
    Recurrence,
    RecurrenceChange,
    RecurrenceLocation,
    RecurrenceStatus,
)
from db_models.recurring_charge import (
    AttemptKind,
    AttemptStatus,
    ChargeAttempt,
    RecurringCharge,
    RecurringChargeChange,
    RecurringChargeStatus,
)
from db_models.refund import Refund, RefundStatus
from db_models.refused_request import RefusedRequest
from db_models.robot_payment import RobotPayment
from db_models.schema_support import SchemaSupport
from db_models.sign_in import SignIn
from db_models.signal import Signal, SignalKind
from db_models.signing_key import SigningKeyRow
from db_models.till import Till
from db_models.webhook import (
    DeliveryKind,
    DeliveryStatus,
    EndpointKind,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)

__all__ = [
    "Account",
    "ApiKey",
    "AttemptKind",
    "AttemptStatus",
    "AuditAction",
    "AuditEntry",
    "BatchItemStatus",
    "ChargeAttempt",
    "ChargeBatch",
    "ChargeBatchItem",
    "ChargeBatchRequest",
    "ChargeKind",
    "ChargeRevision",
    "ClosingParty",
    "DeliveryKind",
    "DeliveryStatus",
    "EndpointKind",
    "Environment",
    "EventName",
    "FeedCounter",
    "FeedEntry",
    "IdempotentRequest",
    "Location",
    "Logo",
    "MailKind",
    "OAuthClient",
    "OrderKind",
    "OutgoingMail",
    "PayerBankOrder",
    "Payment",
    "PaymentEvent",
    "PaymentStatus",
    "PaymentTrace",
    "ProofVerdict",
    "ProviderAccount",
    "ProviderCharge",
    "ProviderChargeStatus",
    "ProviderHint",
    "Receipt",
    "Reconciliation",
    "RecoveryUpload",
    "Recurrence",
    "RecurrenceChange",
    "RecurrenceLocation",
    "RecurrenceRequest",
    "RecurrenceRequestChange",
    "RecurrenceStatus",
    "RecurringCharge",
    "RecurringChargeChange",
    "RecurringChargeStatus",
    "Refund",
    "RefundStatus",
    "RefusedRequest",
    "RequestStatus",
    "RobotPayment",
    "SchemaSupport",
    "SignIn",
    "Signal",
    "SignalKind",
    "SigningKeyRow",
    "Till",
    "TraceKind",
    "Verdict",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
