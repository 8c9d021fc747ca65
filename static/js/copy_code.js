// Copies the code of a button, from a field or any text: by the clipboard, else by execCommand; else
// selects the code, so that the shopper can copy it.
const NOTICE_MS = 2_500;

function select(field) {
  if (field.select) field.select();
  else window.getSelection().selectAllChildren(field);
}

async function writeToClipboard(field) {
  try {
    await navigator.clipboard.writeText(field.value ?? field.textContent.trim());
    return true;
  } catch {
    return copySelection(field);
  }
}

function copySelection(field) {
  const active = document.activeElement;
  field.focus({ preventScroll: true });
  select(field);
  let isCopied = false;
  try {
    isCopied = document.execCommand("copy");
  } catch {
    isCopied = false;
  }
  active?.focus({ preventScroll: true });
  return isCopied;
}

async function copy(button) {
  const field = document.getElementById(button.dataset.copy);
  const isCopied = await writeToClipboard(field);
  const label = button.querySelector("[data-copy-label]");
  const notice = button.parentElement.querySelector("[data-copy-said]");
  label.dataset.idle ??= label.textContent;
  button.classList.toggle("is-copied", isCopied);
  notice.classList.toggle("is-shown", !isCopied);
  notice.textContent = isCopied ? button.dataset.copied : button.dataset.failed;
  field.classList.toggle("is-marked", !isCopied);
  if (!isCopied) {
    select(field);
    button.focus({ preventScroll: true });
    return;
  }
  button.dispatchEvent(new CustomEvent("code-copied", { bubbles: true }));
  label.textContent = button.dataset.copied;
  setTimeout(() => {
    label.textContent = label.dataset.idle;
    button.classList.remove("is-copied");
    notice.textContent = "";
  }, NOTICE_MS);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button !== null) copy(button);
});
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-select-on-focus]")) event.target.select();
});
