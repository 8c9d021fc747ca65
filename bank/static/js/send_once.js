// Blocks a second submit of a form, and shows on its button that it is being sent.
function sendOnce(form) {
  const button = form.querySelector("button[type=submit]");
  const label = [...button.childNodes];
  form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-busy") === "true") {
      event.preventDefault();
      return;
    }
    button.setAttribute("aria-busy", "true");
    button.textContent = form.dataset.once;
  });
  // The back button may restore this page from the cache, with the busy button.
  window.addEventListener("pageshow", () => {
    button.removeAttribute("aria-busy");
    button.replaceChildren(...label);
  });
}

document.querySelectorAll("form[data-once]").forEach(sendOnce);
