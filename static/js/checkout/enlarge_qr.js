// Shows a QR as large as the window allows; without this script, the link opens the picture.
function open(link) {
  const dialog = document.createElement("dialog");
  const picture = link.querySelector("img").cloneNode();
  const close = document.createElement("button");
  dialog.className = "qr-dialog";
  dialog.setAttribute("aria-label", picture.alt);
  close.className = "button";
  close.type = "button";
  close.textContent = link.dataset.close;
  dialog.append(picture, close);
  document.body.append(dialog);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus({ preventScroll: true });
  });
  dialog.showModal();
}

/** Handle `[data-enlarge-qr]` links in `root`, also later ones. */
export function enlargeQr(root) {
  root.addEventListener("click", (event) => {
    const link = event.target.closest("[data-enlarge-qr]");
    if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link);
  });
}
