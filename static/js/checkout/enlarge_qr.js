// Shows a QR as large as the window allows; without this script, the link opens the picture.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-enlarge-qr]");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  import("./qr_dialog.js")
    .then(({ openDialog }) => openDialog(link))
    .catch(() => window.location.assign(link.href));
});
