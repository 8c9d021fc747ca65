// Recovery: reads a picture that is dropped, pasted, chosen or taken; in the browser if it can.
import { abortAfter } from "../abort_after.js";
import { openCamera } from "./recover_camera.js";
import { asServerFormat, canReadHere, textsIn } from "./recover_reading.js";

const ANSWER_MS = 25_000;
const FOUND = 200;
const NOT_FOUND = 404;

const main = document.getElementById("recover");
const form = document.getElementById("recover-form");
const result = document.getElementById("result");
const status = form.querySelector("[data-status]");
const drop = form.querySelector("[data-drop]");
const file = form.elements.namedItem("file");
const text = form.elements.namedItem("qr_data");
let requests = 0;

function say(words, isWrong = false) {
  status.textContent = words;
  status.classList.toggle("is-wrong", isWrong);
}

function show(html) {
  result.innerHTML = html;
  result.dispatchEvent(new CustomEvent("content-drawn", { bubbles: true }));
  const answer = result.querySelector("[data-result]");
  if (answer === null) return;
  document.title = `${answer.dataset.title} · Balcão`;
  const heading = answer.querySelector("[tabindex]");
  heading.focus({ preventScroll: true });
  answer.scrollIntoView({ block: "nearest" });
}

/** Send to the page's own address and show the answer; returns its status, 0 without an answer. */
async function ask(fields) {
  requests += 1;
  const request = requests;
  const address = new URL(form.action);
  address.searchParams.set("fragment", "result");
  main.classList.add("is-busy");
  try {
    const answer = await fetch(address, {
      method: "POST",
      body: fields,
      headers: { Accept: "text/html" },
      signal: abortAfter(ANSWER_MS),
    });
    const html = await answer.text();
    if (request !== requests) return answer.status;
    if (answer.status === 413) {
      say(main.dataset.tooLarge, true);
    } else {
      say("");
      show(html);
    }
    return answer.status;
  } catch {
    if (request === requests) say(main.dataset.unreachable, true);
    return 0;
  } finally {
    if (request === requests) main.classList.remove("is-busy");
  }
}

function fieldsOf(texts) {
  const fields = new FormData();
  for (const text of texts) fields.append("qr_data", text);
  return fields;
}

/** Look up the codes that were read in the browser. */
function askTexts(texts) {
  say(main.dataset.searching);
  return ask(fieldsOf(texts));
}

/** Read a picture in the browser if it can, else on the server; returns the answer's status. */
async function askPicture(picture) {
  if (!picture.type.startsWith("image/")) {
    say(main.dataset.noPicture, true);
    return 0;
  }
  say(main.dataset.reading);
  main.classList.add("is-busy");
  const texts = await textsIn(picture);
  // The browser found only foreign codes: a smaller one of ours may be beside them, so the server looks.
  if (texts.length > 0) {
    const status = await askTexts(texts);
    if (status !== NOT_FOUND) return status;
  }
  const fields = new FormData();
  const upload = await asServerFormat(picture, Number(main.dataset.bytesMax));
  fields.append("file", upload, "qr");
  return ask(fields);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const code = text.value.trim();
  if (file.files.length > 0) askPicture(file.files[0]);
  else if (code !== "") askTexts([code]);
  else file.focus();
});

file.addEventListener("change", () => {
  if (file.files.length > 0) askPicture(file.files[0]);
});

document.addEventListener("paste", (event) => {
  const picture = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
  if (picture !== undefined) {
    event.preventDefault();
    askPicture(picture);
    return;
  }
  const code = event.clipboardData.getData("text/plain").trim();
  if (code === "" || event.target === text) return;
  text.value = code;
  askTexts([code]);
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("is-over");
});
for (const end of ["dragleave", "drop"]) {
  document.addEventListener(end, () => drop.classList.remove("is-over"));
}
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const picture = event.dataTransfer.files[0];
  if (picture !== undefined) askPicture(picture);
});

drop.querySelector("[data-ways]").hidden = false;
canReadHere().then((can) => {
  for (const note of form.querySelectorAll("[data-privacy]")) {
    note.hidden = (note.dataset.privacy === "browser") !== can;
  }
});
openCamera(form, {
  say,
  onCodes: askTexts,
  onPicture: async (picture) => [FOUND, NOT_FOUND].includes(await askPicture(picture)),
});

document.documentElement.setAttribute("data-started", "");
