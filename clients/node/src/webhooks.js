/** Webhooks: addresses that receive a merchant's events. */

import { requireObject, requirePage } from "./answers.js";
import { NotFound } from "./errors.js";
import { allOf } from "./pages.js";
import { idempotencyHeader } from "./payments.js";

const PATH = "/webhooks";

/** The merchant's webhooks. An API key needs the scope `webhooks:write`. */
export class Webhooks {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Register `url`; keep the `secret` of the result, which is shown only once.
   *
   * Without `events` it receives all types. The service sends it a ping at once.
   */
  async create(fields, { idempotencyKey, signal } = {}) {
    const headers = idempotencyHeader(idempotencyKey);
    const answer = await this.#transport.request("POST", PATH, { body: fields, headers, signal });
    return requireObject(answer, "a webhook");
  }

  /** All webhooks. */
  list({ signal } = {}) {
    return allOf(async (after) => {
      const query = { after };
      return requirePage(await this.#transport.request("GET", PATH, { query, signal }));
    });
  }

  /** Read one webhook, without its secret. Rejects with NotFound. */
  async get(webhookId, { signal } = {}) {
    const answer = await this.#transport.request("GET", pathOf(webhookId), { signal });
    return requireObject(answer, "a webhook");
  }

  /** Change `url`, `events`, `enabled` or `description`. */
  async update(webhookId, changes, { signal } = {}) {
    const path = pathOf(webhookId);
    const answer = await this.#transport.request("PATCH", path, { body: changes, signal });
    return requireObject(answer, "a webhook");
  }

  /** Remove a webhook; nothing happens if it is gone already. */
  async delete(webhookId, { signal } = {}) {
    try {
      await this.#transport.request("DELETE", pathOf(webhookId), { signal });
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
    }
  }

  /**
   * Make a new secret; for 24 hours both sign, so verify with both.
   *
   * Not repeated after a lost answer, because a second rotation would end the first secret.
   */
  async rotate(webhookId, { signal } = {}) {
    return requireObject(await this.#once(`${pathOf(webhookId)}/rotate`, { signal }), "a webhook");
  }

  /** Send a ping to the address; resolves to its delivery. */
  async ping(webhookId, { signal } = {}) {
    return requireObject(await this.#once(`${pathOf(webhookId)}/ping`, { signal }), "a delivery");
  }

  /** One page of what was sent and what was answered; filters `status`, `limit`, `after`. */
  async deliveries(webhookId, filters = {}, { signal } = {}) {
    const path = `${pathOf(webhookId)}/deliveries`;
    return requirePage(await this.#transport.request("GET", path, { query: filters, signal }));
  }

  /** Send a delivery again. */
  async redeliver(deliveryId, { signal } = {}) {
    const path = `${pathOf(deliveryId, "deliveries/")}/redeliver`;
    return requireObject(await this.#once(path, { signal }), "a delivery");
  }

  /** Send the events from `from` until before `to` (Date or RFC 3339) again. */
  async replay(webhookId, { from, to }, { signal } = {}) {
    const path = `${pathOf(webhookId)}/replay`;
    return requireObject(await this.#once(path, { body: { from, to }, signal }), "a count");
  }

  async #once(path, options) {
    return await this.#transport.request("POST", path, { ...options, isSafe: false });
  }
}

/** Throws NotFound for an id that would be another address. */
function pathOf(id, folder = "") {
  if (typeof id !== "string" || !/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
    throw new NotFound(404, "not-found", "Nothing has this id.");
  }
  return `${PATH}/${folder}${id}`;
}
