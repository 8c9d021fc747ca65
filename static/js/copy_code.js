// Copies the code that a button points at: by the clipboard, else by execCommand; else it selects the
// code, and the shopper copies it.
const SHOWN_MS = 2_500;

async function writeToClipboard(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    return copySelected(field);
  }
}

function copySelected(field) {
  const focused = document.activeElement;
  field.focus({ preventScroll: true });
  field.select();
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } catch {
    copied = false;
  }
  focused?.focus({ preventScroll: true });
  return copied;
}

async function copy(button, root) {
  const field = root.getElementById(button.dataset.copy);
  const copied = await writeToClipboard(field);
  const label = button.querySelector("[data-copy-label]");
  const said = button.parentElement.querySelector("[data-copy-said]");
  label.dataset.idle ??= label.textContent;
  button.classList.toggle("is-copied", copied);
  said.classList.toggle("is-shown", !copied);
  said.textContent = copied ? button.dataset.copied : button.dataset.failed;
  field.classList.toggle("is-marked", !copied);
  if (!copied) {
    field.select();
    button.focus({ preventScroll: true });
    return;
  }
  button.dispatchEvent(new CustomEvent("code-copied", { bubbles: true }));
  label.textContent = button.dataset.copied;
  setTimeout(() => {
    label.textContent = label.dataset.idle;
    button.classList.remove("is-copied");
    said.textContent = "";
  }, SHOWN_MS);
}

/** Handle `[data-copy]` buttons and `[data-select-on-focus]` fields in `root`, also later ones. */
export function copyCodes(root) {
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button !== null) copy(button, root);
  });
  root.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-select-on-focus]")) event.target.select();
  });
}
