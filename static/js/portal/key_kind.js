// Shows the kind of the Pix key being typed; the server checks its digits.
import { fetchWithin } from "../poller.js";
import { csrfToken } from "./csrf.js";

const PAUSE_MS = 250;

function show(field, line, { name, shown }) {
  const { idle, known, unknown } = line.dataset;
  const kind = field.value.trim() === "" ? idle : name === null ? unknown : known;
  line.textContent = kind.replace("{kind}", name).replace("{key}", shown);
  line.dataset.kind = field.value.trim() === "" ? "" : name === null ? "none" : "some";
}

async function ask(field, line) {
  const text = field.value;
  if (text.trim() === "") {
    show(field, line, { name: null, shown: null });
    return;
  }
  const headers = { "Content-Type": "application/json", "X-CSRF-TOKEN": csrfToken() };
  const options = { method: "POST", headers, body: JSON.stringify({ key: text }) };
  try {
    const answer = await fetchWithin(field.dataset.keyKind, options);
    if (answer.ok && field.value === text) show(field, line, JSON.parse(answer.text));
  } catch {
    // Show nothing without an answer; the form shows errors when it is sent.
  }
}

function follow(field) {
  const line = document.getElementById("key-kind");
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask(field, line), PAUSE_MS);
  });
}

for (const field of document.querySelectorAll("[data-key-kind]")) follow(field);
