// Shows what was typed into a password field, for as long as its button is pressed in.
for (const button of document.querySelectorAll("[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
    field.focus();
  });
  // A field of type text would be offered for completion the next time.
  field.form.addEventListener("submit", () => {
    field.type = "password";
  });
}
