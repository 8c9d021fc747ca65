/** The client: `new Balcao({ url, apiKey })` with `payments`, `events` and `webhooks`. */

import { Events } from "./events.js";
import { Payments } from "./payments.js";
import { Transport } from "./transport.js";
import { Webhooks } from "./webhooks.js";

const DEFAULT_URL = "http://127.0.0.1:5000";

/** A merchant's access to one Balcão. */
export class Balcao {
  /** Without options, BALCAO_URL and BALCAO_API_KEY of the environment; "" is no key. */
  constructor({ url, apiKey, timeoutMs, retries } = {}) {
    const transport = new Transport(url ?? (process.env.BALCAO_URL || DEFAULT_URL), {
      apiKey: apiKey ?? process.env.BALCAO_API_KEY,
      timeoutMs,
      retries,
    });
    this.payments = new Payments(transport);
    this.events = new Events(transport);
    this.webhooks = new Webhooks(transport);
  }
}
