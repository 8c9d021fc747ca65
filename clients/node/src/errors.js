/**
 * The errors of the package.
 *
 *     BalcaoError
 *     ├── ApiError                   the service refused the request; has `code` and `status`
 *     │   ├── InvalidRequest         400, 413, 414, 415, 422
 *     │   ├── Unauthorized           401
 *     │   ├── Forbidden              403
 *     │   ├── NotFound               404, 410    PaymentNotFound, …
 *     │   ├── Conflict               409         OrderAlreadyHasPayment, NotCancellable, …
 *     │   ├── TooManyRequests        429
 *     │   └── ServiceUnavailable     500, 502, 503, 504
 *     ├── ConnectionFailed           no answer; whether the request took effect is unknown
 *     ├── UnexpectedAnswer           an answer that is not the service's
 *     └── WebhookVerificationError   a webhook that must not be believed
 *
 * A code without a class gets the class of its status, so a newer service breaks no older client.
 */

/** Any error of this package. */
export class BalcaoError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The service did not answer, after all retries. */
export class ConnectionFailed extends BalcaoError {}

/** The answer is not one of Balcão: a proxy's page, broken JSON, a missing field. */
export class UnexpectedAnswer extends BalcaoError {}

/** The webhook is not signed with one of the secrets, is too old, or is not an event. */
export class WebhookVerificationError extends BalcaoError {}

/** The service's answer to a request that it refused. */
export class ApiError extends BalcaoError {
  /** `errors` has `{field, detail}` for each invalid field; `retryAfterMs` is from Retry-After. */
  constructor(status, code, detail, { errors = [], requestId = null, retryAfterMs = null } = {}) {
    super(`${detail} [${code}, HTTP ${status}]`);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The request is wrong; `errors` names the fields. The same request fails again. */
export class InvalidRequest extends ApiError {}

/** The API key or token is missing, unknown, revoked or expired. */
export class Unauthorized extends ApiError {}

/** The credentials may not do this: the wrong role, or a missing scope. */
export class Forbidden extends ApiError {}

/** There is no such thing, or it belongs to another merchant. */
export class NotFound extends ApiError {}

/** The request conflicts with the present state: read the object again. */
export class Conflict extends ApiError {}

/** A rate limit, still reached after all retries; `retryAfterMs` says when it ends. */
export class TooManyRequests extends ApiError {}

/** The service cannot answer at the moment. Nothing was created twice: send it again. */
export class ServiceUnavailable extends ApiError {}

/** `payment-not-found`. */
export class PaymentNotFound extends NotFound {}

/** `order-already-has-payment`: the order has a payment that is pending or paid. */
export class OrderAlreadyHasPayment extends Conflict {}

/** `idempotency-conflict`: the key was used before with another request. */
export class IdempotencyConflict extends Conflict {}

/** `not-cancellable`: only a pending payment can be cancelled. */
export class NotCancellable extends Conflict {}

/** `not-refundable`: the payment is not confirmed, or nothing is left to refund. */
export class NotRefundable extends Conflict {}

/** `refund-exceeds-payment`: less than this is left of the payment. */
export class RefundExceedsPayment extends Conflict {}

/** `refund-too-late`: banks refund for 90 days after the payment. */
export class RefundTooLate extends Conflict {}

/** `pix-key-missing`: the merchant has not entered a Pix key yet. */
export class PixKeyMissing extends Conflict {}

const CLASS_OF_CODE = new Map([
  ["idempotency-conflict", IdempotencyConflict],
  ["not-cancellable", NotCancellable],
  ["not-refundable", NotRefundable],
  ["order-already-has-payment", OrderAlreadyHasPayment],
  ["payment-not-found", PaymentNotFound],
  ["pix-key-missing", PixKeyMissing],
  ["refund-exceeds-payment", RefundExceedsPayment],
  ["refund-too-late", RefundTooLate],
]);

const CLASS_OF_STATUS = new Map([
  [401, Unauthorized],
  [403, Forbidden],
  [404, NotFound],
  [409, Conflict],
  [410, NotFound],
  [429, TooManyRequests],
]);

/** The class for a code and a status. */
export function classOf(code, status) {
  const family =
    CLASS_OF_STATUS.get(status) ?? (status >= 500 ? ServiceUnavailable : InvalidRequest);
  return CLASS_OF_CODE.get(code) ?? family;
}
