// A form is sent once: the second press of an impatient finger is not another charge.
export function sendOnce(root) {
  root.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-once]");
    if (form === null) return;
    if (form.dataset.sent !== undefined) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "";
    for (const button of form.querySelectorAll("button[type=submit]")) {
      button.setAttribute("aria-busy", "true");
    }
  });
  // Back from the next page, by the browser's memory of this one: it may be sent again.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of root.querySelectorAll("form[data-once]")) delete form.dataset.sent;
    for (const button of root.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = event.target.closest("details.menu[open]");
    if (menu === null) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  root.addEventListener("click", (event) => {
    for (const menu of root.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
}
