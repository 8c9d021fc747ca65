/** Reais: "54.90", 54.9, or an integer of centavos. A number with more decimals is refused. */
export type Amount = string | number | { readonly centavos: number };

/** A Date, or a time by RFC 3339 such as "2026-11-29T08:00:00Z". */
export type Instant = Date | string;

export interface RetryPolicy {
  /** In all, with the first one; 1 repeats nothing. Default 4. */
  attempts?: number;
  /** The first pause is random, up to this long; each further one may be twice as long. */
  baseMs?: number;
  pauseMaxMs?: number;
  /** A service that asks for a longer pause than this is not waited for. */
  retryAfterMaxMs?: number;
}

export interface BalcaoOptions {
  /** Default: BALCAO_URL of the environment. */
  url?: string;
  /** Default: BALCAO_API_KEY of the environment. */
  apiKey?: string;
  /** For one attempt, from the connection to the last byte. Default 30000. */
  timeoutMs?: number;
  retries?: RetryPolicy;
}

export interface CallOptions {
  /** Ends the call; its reason is thrown. */
  signal?: AbortSignal;
}

export interface CreateOptions extends CallOptions {
  /** Default: a random key. */
  idempotencyKey?: string;
}

export type PaymentStatus = "pending" | "confirmed" | "expired" | "cancelled";

/** The bank behind a payment. */
export interface Provider {
  /** "simulated", or the profile of a real bank, such as "efi". */
  name: string;
  /** The id of the merchant's account at the bank; null at the simulated bank. */
  account: string | null;
  /** The id of the charge at the bank. */
  txid: string;
  /** How the charge stands. */
  status: string;
}

/** The merchant's view of a payment. Newer services may send more fields. */
export interface Payment {
  id: string;
  status: PaymentStatus;
  paid: boolean;
  value: number;
  amount_centavos: number;
  currency: string;
  refunded_value: number;
  pix_code: string;
  qr_code: string;
  qr_code_url: string;
  payment_url: string;
  description: string | null;
  order_id: string | null;
  metadata: Record<string, string>;
  created_at: string;
  expiration_date: string;
  remaining_ms: number;
  confirmed_at: string | null;
  end_to_end_id: string | null;
  return_url: string | null;
  cancel_url: string | null;
  sequence: number;
  livemode: boolean;
  provider: Provider;
  [field: string]: unknown;
}

export interface NewPayment {
  value: Amount;
  order_id?: string;
  description?: string;
  /** Seconds, 10 to 2592000. */
  expires_in?: number;
  metadata?: Record<string, string>;
  return_url?: string;
  cancel_url?: string;
  payer?: { name?: string; document?: string };
}

export interface PaymentFilters {
  status?: PaymentStatus;
  order_id?: string;
  from?: Instant;
  to?: Instant;
  q?: string;
  limit?: number;
  after?: string;
}

export interface NewRefund {
  /** Default: all that is left. */
  value?: Amount;
  refund_id?: string;
  description?: string;
}

export interface Refund {
  id: string;
  payment_id: string;
  return_id: string | null;
  value: number;
  amount_centavos: number;
  status: "processing" | "done" | "failed";
  reason: string | null;
  /** Whether the bank gave the money back by itself, for example by MED. */
  by_bank: boolean;
  /** Why the bank did, in its word, such as "MED_FRAUDE". */
  nature: string | null;
  description: string | null;
  requested_at: string;
  settled_at: string | null;
  [field: string]: unknown;
}

/** Money that a bank reported: the data of receipt.received and receipt.refused. */
export interface Receipt {
  end_to_end_id: string;
  /** null for money without a payment. */
  payment_id: string | null;
  value: number;
  amount_centavos: number;
  pix_key: string | null;
  reference: string | null;
  paid_at: string;
  verdict: "accepted" | "refused";
  /** Why it was refused. */
  reason: string | null;
  /** Why accepted money at a real bank fits no payment, such as "amount-mismatch"; else null. */
  misfit: string | null;
  [field: string]: unknown;
}

export interface Page<T> {
  data: T[];
  next: string | null;
}

export interface Event {
  id: string;
  type: string;
  timestamp: string;
  livemode: boolean;
  /** The payment, receipt or refund as it was at the event. */
  data: Record<string, any>;
}

export interface StreamOptions extends CallOptions {
  /** Default 300000; Infinity never gives up. */
  giveUpAfterMs?: number;
  /** The stream has begun: nothing is missed from now on. */
  onConnect?: () => void;
  onInterruption?: (error: BalcaoError, pauseMs: number) => void;
}

export interface Webhook {
  id: string;
  url: string;
  /** Only after `create` and `rotate`. */
  secret?: string;
  events: string[];
  enabled: boolean;
  description: string | null;
  [field: string]: unknown;
}

export interface Delivery {
  id: string;
  status: string;
  [field: string]: unknown;
}

export interface Payments {
  create(fields: NewPayment, options?: CreateOptions): Promise<Payment>;
  get(paymentId: string, options?: CallOptions): Promise<Payment>;
  page(filters?: PaymentFilters, options?: CallOptions): Promise<Page<Payment>>;
  list(filters?: PaymentFilters, options?: CallOptions): AsyncGenerator<Payment, void, undefined>;
  cancel(paymentId: string, options?: CallOptions): Promise<Payment>;
  refund(paymentId: string, fields?: NewRefund, options?: CreateOptions): Promise<Refund>;
  refunds(paymentId: string, options?: CallOptions): Promise<Refund[]>;
}

export interface Events {
  page(
    filters?: { after?: string; type?: string; limit?: number },
    options?: CallOptions,
  ): Promise<Page<Event>>;
  list(
    filters?: { after?: string; type?: string },
    options?: CallOptions,
  ): AsyncGenerator<Event, void, undefined>;
  stream(
    filters?: { after?: string; type?: string },
    options?: StreamOptions,
  ): AsyncGenerator<Event, void, undefined>;
}

export interface Webhooks {
  create(
    fields: { url: string; events?: string[]; description?: string },
    options?: CreateOptions,
  ): Promise<Webhook>;
  list(options?: CallOptions): AsyncGenerator<Webhook, void, undefined>;
  get(webhookId: string, options?: CallOptions): Promise<Webhook>;
  update(
    webhookId: string,
    changes: {
      url?: string;
      events?: string[];
      enabled?: boolean;
      description?: string | null;
    },
    options?: CallOptions,
  ): Promise<Webhook>;
  delete(webhookId: string, options?: CallOptions): Promise<void>;
  rotate(webhookId: string, options?: CallOptions): Promise<Webhook>;
  ping(webhookId: string, options?: CallOptions): Promise<Delivery>;
  deliveries(
    webhookId: string,
    filters?: { status?: string; limit?: number; after?: string },
    options?: CallOptions,
  ): Promise<Page<Delivery>>;
  redeliver(deliveryId: string, options?: CallOptions): Promise<Delivery>;
  replay(
    webhookId: string,
    window: { from: Instant; to?: Instant },
    options?: CallOptions,
  ): Promise<{ deliveries: number }>;
}

/** A merchant's access to one Balcão. */
export class Balcao {
  constructor(options?: BalcaoOptions);
  readonly payments: Payments;
  readonly events: Events;
  readonly webhooks: Webhooks;
}

/** The headers of node:http, a Headers object, or pairs. */
export type WebhookHeaders =
  | Iterable<readonly [string, string]>
  | { readonly [name: string]: string | readonly string[] | undefined };

/**
 * Check the signature of a webhook and return its event.
 *
 * `body` must be the bytes or the text as they arrived. Throws WebhookVerificationError for
 * everything that a sender can do wrong, and TypeError for a parsed body or a malformed secret.
 */
export function verifyWebhook(
  headers: WebhookHeaders,
  body: string | ArrayBuffer | ArrayBufferView,
  secret: string | readonly string[],
  options?: { toleranceSeconds?: number; now?: number },
): Event;

export const VERSION: string;

export class BalcaoError extends Error {}
export class ConnectionFailed extends BalcaoError {}
export class UnexpectedAnswer extends BalcaoError {}
export class WebhookVerificationError extends BalcaoError {}

export class ApiError extends BalcaoError {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors: readonly { field: string; detail: string }[];
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;
}
export class InvalidRequest extends ApiError {}
export class Unauthorized extends ApiError {}
export class Forbidden extends ApiError {}
export class NotFound extends ApiError {}
export class Conflict extends ApiError {}
export class TooManyRequests extends ApiError {}
export class ServiceUnavailable extends ApiError {}
export class PaymentNotFound extends NotFound {}
export class OrderAlreadyHasPayment extends Conflict {}
export class IdempotencyConflict extends Conflict {}
export class NotCancellable extends Conflict {}
export class NotRefundable extends Conflict {}
export class RefundExceedsPayment extends Conflict {}
export class RefundTooLate extends Conflict {}
export class PixKeyMissing extends Conflict {}
