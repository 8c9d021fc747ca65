// Sends a form that pays once. Coming back from a later page, the form can be sent again.
const BUSY = "aria-busy";

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-once]");
  if (form === null) return;
  if (form.getAttribute(BUSY) === "true") {
    event.preventDefault();
    return;
  }
  form.setAttribute(BUSY, "true");
  const button = form.querySelector("button[data-busy]");
  if (button === null) return;
  button.dataset.idle = button.textContent;
  button.textContent = button.dataset.busy;
});

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.removeAttribute(BUSY);
    const button = form.querySelector("button[data-idle]");
    if (button !== null) button.textContent = button.dataset.idle;
  }
});
