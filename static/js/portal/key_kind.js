// Says which kind of Pix key is being typed; the server knows the check digits.
import { fetchWithin } from "../poller.js";
import { csrfToken } from "./csrf.js";

const PAUSE_MS = 250;

function say(field, line, { name, shown }) {
  const { idle, known, unknown } = line.dataset;
  const kind = field.value.trim() === "" ? idle : name === null ? unknown : known;
  line.textContent = kind.replace("{kind}", name).replace("{key}", shown);
  line.dataset.kind = field.value.trim() === "" ? "" : name === null ? "none" : "some";
}

async function ask(field, line) {
  const asked = field.value;
  if (asked.trim() === "") {
    say(field, line, { name: null, shown: null });
    return;
  }
  const headers = { "Content-Type": "application/json", "X-CSRF-TOKEN": csrfToken() };
  const options = { method: "POST", headers, body: JSON.stringify({ key: asked }) };
  try {
    const answer = await fetchWithin(field.dataset.keyKind, options);
    if (answer.ok && field.value === asked) say(field, line, JSON.parse(answer.text));
  } catch {
    // Without an answer nothing is said: the form tells all of it when it is sent.
  }
}

export function askKeyKind(root) {
  const field = root.querySelector("[data-key-kind]");
  if (field === null) return;
  const line = root.querySelector("#key-kind");
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask(field, line), PAUSE_MS);
  });
}
