// Shares the code and its picture, or an address, by the device's share sheet.
function contentOf({ shareTitle: title, shareCode, shareUrl }, root) {
  if (shareUrl !== undefined) return { title, url: new URL(shareUrl, window.location.href).href };
  return { title, text: root.querySelector(`#${shareCode}`).value };
}

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
    const { sharePng } = button.dataset;
    const content = contentOf(button.dataset, root);
    if (!navigator.canShare?.(content)) continue;
    // Fetched before the click, because a share sheet must open right after a touch.
    const picture = sharePng === undefined ? null : pictureOf(sharePng);
    button.hidden = false;
    button.addEventListener("click", async () => {
      const files = [await picture].filter((file) => file !== null);
      const whole = { ...content, files };
      try {
        await navigator.share(files.length > 0 && navigator.canShare(whole) ? whole : content);
      } catch (error) {
        // Closing the share sheet is not a failure.
        if (error.name !== "AbortError") button.hidden = true;
      }
    });
  }
}

offerShare(document);
document.addEventListener("content-drawn", (event) => offerShare(event.target));
