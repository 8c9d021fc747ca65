/** Payments: create, get, list, cancel, refund. Objects have the fields of the API. */

import { randomUUID } from "node:crypto";

import { requireObject, requirePage } from "./answers.js";
import { NotCancellable, PaymentNotFound, UnexpectedAnswer } from "./errors.js";
import { reais } from "./money.js";
import { allOf } from "./pages.js";

const PATH = "/payments/pix";

/** A header with the key, or with a new random one. */
export function idempotencyHeader(key) {
  return { "Idempotency-Key": key ?? `node-${randomUUID().replaceAll("-", "")}` };
}

/** The merchant's payments. */
export class Payments {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Create a payment; `fields` are those of `POST /payments/pix`.
   *
   * The client makes an idempotency key, so its retries never create a second payment. Pass your own
   * `idempotencyKey` to be safe over a crash of your program too.
   */
  async create({ value, ...fields }, { idempotencyKey, signal } = {}) {
    const answer = await this.#transport.request("POST", PATH, {
      body: { value: reais(value), ...fields },
      headers: idempotencyHeader(idempotencyKey),
      signal,
    });
    return paymentIn(answer);
  }

  /** Read a payment. Rejects with PaymentNotFound. */
  async get(paymentId, { signal } = {}) {
    return paymentIn(await this.#transport.request("GET", pathOf(paymentId), { signal }));
  }

  /** One page of payments, newest first; filters as in `GET /payments/pix`. */
  async page(filters = {}, { signal } = {}) {
    return requirePage(await this.#transport.request("GET", PATH, { query: filters, signal }));
  }

  /** All payments, newest first, fetched page by page. */
  list(filters = {}, options = {}) {
    return allOf((after) => this.page({ ...filters, after }, options), filters.after);
  }

  /** Cancel a pending payment. Rejects with NotCancellable and PaymentNotFound. */
  async cancel(paymentId, { signal } = {}) {
    const path = `${pathOf(paymentId)}/cancel`;
    try {
      return paymentIn(await this.#transport.request("POST", path, { signal }));
    } catch (error) {
      if (!(error instanceof NotCancellable)) throw error;
      // The first of two attempts may have cancelled it, and its answer was lost.
      const payment = await this.get(paymentId, { signal });
      if (payment.status === "cancelled") return payment;
      throw error;
    }
  }

  /**
   * Refund `value` of a confirmed payment, by default all that is left.
   *
   * The refund may still be `processing`: read `refunds` later, or wait for the event
   * `payment.refunded` or `refund.failed`.
   */
  async refund(paymentId, { value, ...fields } = {}, { idempotencyKey, signal } = {}) {
    const body = value === undefined ? fields : { value: reais(value), ...fields };
    const answer = await this.#transport.request("POST", `${pathOf(paymentId)}/refunds`, {
      body,
      headers: idempotencyHeader(idempotencyKey),
      signal,
    });
    return requireObject(answer, "a refund");
  }

  /** The payment's refunds, oldest first. */
  async refunds(paymentId, { signal } = {}) {
    const path = `${pathOf(paymentId)}/refunds`;
    const answer = await this.#transport.request("GET", path, { signal });
    if (!Array.isArray(answer)) {
      throw new UnexpectedAnswer("The service answered without a list of refunds.");
    }
    return answer;
  }
}

function paymentIn(answer) {
  return requireObject(requireObject(answer, "a payment").payment, "a payment");
}

/** Throws PaymentNotFound for an id that would be another address. */
function pathOf(paymentId) {
  if (typeof paymentId !== "string" || !/^[A-Za-z0-9]{1,64}$/.test(paymentId)) {
    throw new PaymentNotFound(404, "payment-not-found", "No payment has this id.");
  }
  return `${PATH}/${paymentId}`;
}
