// Shows name, logo and colour in the preview while they are chosen; nothing is saved by it.
import { fetchWithin } from "../poller.js";

const PAUSE_MS = 150;
const LOGO_BYTES_MAX = 2_097_152;

function followName(preview) {
  const line = preview.querySelector("[data-preview-name]");
  const saved = line.textContent;
  const field = document.getElementById("name");
  const show = () => {
    line.textContent = field.value.trim() || saved;
  };
  field.addEventListener("input", show);
  show();
}

// The server's style sheet of the colour says whether its text is black or white.
async function showColor(preview, color) {
  const url = preview.dataset.brandUrl.replace("000000", color.slice(1));
  const answer = await fetchWithin(url, { cache: "default" });
  const ink = /--on-action:(#[0-9a-f]{6})/.exec(answer.text);
  if (!answer.ok || ink === null) return;
  preview.querySelector("[data-preview-button]").setAttribute("fill", color);
  preview.querySelector("[data-preview-ink]").setAttribute("fill", ink[1]);
}

function followColor(preview) {
  const field = document.getElementById("brand_color");
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    // Without an answer the preview keeps the colour before.
    timer = setTimeout(() => showColor(preview, field.value).catch(() => {}), PAUSE_MS);
  });
}

function followLogo(preview) {
  const image = preview.querySelector("[data-preview-logo]");
  const field = document.getElementById("logo-file");
  field.addEventListener("change", () => {
    const [file] = field.files;
    if (file === undefined || file.size > LOGO_BYTES_MAX) return;
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      image.src = reader.result;
      image.hidden = false;
    });
    reader.readAsDataURL(file);
  });
}

for (const preview of document.querySelectorAll("[data-preview]")) {
  followName(preview);
  followColor(preview);
  followLogo(preview);
}
