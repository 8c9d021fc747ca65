// Runs the test environment's tools without leaving the page, so that its live changes can be seen.
// The tools go when the payment can no longer be paid: they would cover the page's buttons.
const tools = document.querySelector(".test-strip__tools");

document.addEventListener("content-drawn", ({ target }) => {
  tools.hidden = target.dataset.page !== "waiting";
});
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-tool]");
  if (form === null) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  } finally {
    button.disabled = false;
    document.dispatchEvent(new CustomEvent("payment-touched"));
  }
});
