/** The package's public names. */

export { Balcao } from "./client.js";
export {
  ApiError,
  BalcaoError,
  Conflict,
  ConnectionFailed,
  Forbidden,
  IdempotencyConflict,
  InvalidRequest,
  NotCancellable,
  NotFound,
  NotRefundable,
  OrderAlreadyHasPayment,
  PaymentNotFound,
  PixKeyMissing,
  RefundExceedsPayment,
  RefundTooLate,
  ServiceUnavailable,
  TooManyRequests,
  Unauthorized,
  UnexpectedAnswer,
  WebhookVerificationError,
} from "./errors.js";
export { verifyWebhook } from "./signatures.js";
export { VERSION } from "./version.js";
