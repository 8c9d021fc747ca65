// The dialog with the enlarged QR. Loaded at the first click, because few shoppers need it.
let style = null;

function loadStyle() {
  style ??= new Promise((resolve, reject) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL("../../css/qr_dialog.css", import.meta.url).href;
    sheet.addEventListener("load", resolve);
    sheet.addEventListener("error", reject);
    document.head.append(sheet);
  });
  return style;
}

/** Show the picture of `link`. Rejects if the dialog's style does not load. */
export async function openDialog(link) {
  await loadStyle();
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
