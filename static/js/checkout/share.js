// Hands the code and its picture to the device's share sheet, where there is one.
async function pictureOf(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) return null;
    return new File([await response.blob()], "pix.png", { type: "image/png" });
  } catch {
    return null;
  }
}

/** Show the `[data-share]` buttons in `root` where the device can share; else they stay hidden. */
export function offerShare(root) {
  for (const button of root.querySelectorAll("[data-share]")) {
    const { shareTitle: title, shareCode, sharePng } = button.dataset;
    const text = root.querySelector(`#${shareCode}`).value;
    if (!navigator.canShare?.({ title, text })) continue;
    // Fetched before the click: a share sheet opens only straight after the shopper's touch.
    const picture = pictureOf(sharePng);
    button.hidden = false;
    button.addEventListener("click", async () => {
      const files = [await picture].filter((file) => file !== null);
      const whole = { title, text, files };
      try {
        await navigator.share(
          files.length > 0 && navigator.canShare(whole) ? whole : { title, text },
        );
      } catch (error) {
        // Closing the sheet without choosing is no failure.
        if (error.name !== "AbortError") button.hidden = true;
      }
    });
  }
}
