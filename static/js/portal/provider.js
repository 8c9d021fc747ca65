// Recebimento: shows the fields of the chosen bank alone, and runs the check without a new page.
const choice = document.querySelector("[data-provider-profile]");

function showFields() {
  for (const group of document.querySelectorAll("[data-provider-fields]")) {
    group.hidden = group.dataset.providerFields !== choice.value;
  }
}

if (choice !== null) {
  choice.addEventListener("change", showFields);
  showFields();
}

const form = document.querySelector("form[data-check]");

async function check(event) {
  event.preventDefault();
  if (form.dataset.sent !== undefined) return;
  const table = document.querySelector("[data-check-table]");
  const button = form.querySelector("button");
  button.setAttribute("aria-busy", "true");
  table.textContent = form.dataset.waiting;
  try {
    const answer = await fetch(form.dataset.fragment, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    table.innerHTML = await answer.text();
  } catch {
    table.textContent = form.dataset.failed;
  }
  button.removeAttribute("aria-busy");
  delete form.dataset.sent;
}

if (form !== null) form.addEventListener("submit", check);
