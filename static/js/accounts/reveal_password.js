// Shows the text of a password field while its button is pressed.
for (const button of document.querySelectorAll("[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  button.addEventListener("click", () => {
    const isHidden = field.type === "password";
    field.type = isHidden ? "text" : "password";
    button.setAttribute("aria-pressed", String(isHidden));
    field.focus();
  });
  // The browser would offer a text field's value for completion later.
  field.form.addEventListener("submit", () => {
    field.type = "password";
  });
}

document.documentElement.setAttribute("data-started", "");
