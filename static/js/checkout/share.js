// Shares the code and its picture by the device's share sheet.
async function pictureOf(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) return null;
    return new File([await response.blob()], "pix.png", { type: "image/png" });
  } catch {
    return null;
  }
}

/** Show the `[data-share]` buttons in `root` if the device can share. */
function offerShare(root) {
  for (const button of root.querySelectorAll("[data-share]")) {
    const { shareTitle: title, shareCode, sharePng } = button.dataset;
    const text = root.querySelector(`#${shareCode}`).value;
    if (!navigator.canShare?.({ title, text })) continue;
    // Fetched before the click, because a share sheet must open right after a touch.
    const picture = pictureOf(sharePng);
    button.hidden = false;
    button.addEventListener("click", async () => {
      const files = [await picture].filter((file) => file !== null);
      const content = { title, text, files };
      try {
        await navigator.share(
          files.length > 0 && navigator.canShare(content) ? content : { title, text },
        );
      } catch (error) {
        // Closing the share sheet is not a failure.
        if (error.name !== "AbortError") button.hidden = true;
      }
    });
  }
}

offerShare(document);
document.addEventListener("content-drawn", (event) => offerShare(event.target));
