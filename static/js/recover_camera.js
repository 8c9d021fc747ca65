// The camera: where the browser reads codes it looks by itself, else the payer takes a picture.
import { canReadHere, textsIn } from "./recover_reading.js";

const LOOK_EVERY_MS = 250;
const QUALITY = 0.9;

/** Serve the camera's buttons in `form`; tells `found(texts)` and `taken(picture)`. */
export function openCamera(form, { say, found, taken }) {
  const opener = form.querySelector("[data-camera-open]");
  const box = form.querySelector("[data-camera]");
  const video = box.querySelector("video");
  const why = {
    NotAllowedError: box.dataset.denied,
    SecurityError: box.dataset.denied,
    NotReadableError: box.dataset.busy,
  };
  let stream = null;

  // Not served where a page may have no camera at all: an address that is not secure, for one.
  if (!navigator.mediaDevices?.getUserMedia) return;
  opener.hidden = false;

  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    box.hidden = true;
    opener.hidden = false;
  };

  const look = async (watched) => {
    if (stream !== watched) return;
    const texts = video.videoWidth > 0 ? await textsIn(video) : [];
    if (stream !== watched) return;
    if (texts.length > 0) {
      close();
      found(texts);
      return;
    }
    setTimeout(look, LOOK_EVERY_MS, watched);
  };

  const open = async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: { ideal: "environment" } },
        audio: false,
      });
    } catch (error) {
      say(why[error.name] ?? box.dataset.none, true);
      return;
    }
    opener.hidden = true;
    box.hidden = false;
    say(box.dataset.aim);
    video.srcObject = stream;
    await video.play();
    if (await canReadHere()) look(stream);
  };

  const take = () => {
    if (video.videoWidth === 0) return;
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((picture) => {
      close();
      if (picture !== null) taken(picture);
    }, "image/jpeg", QUALITY);
  };

  opener.addEventListener("click", open);
  box.querySelector("[data-camera-take]").addEventListener("click", take);
  box.querySelector("[data-camera-close]").addEventListener("click", () => {
    close();
    say("");
    opener.focus();
  });
  window.addEventListener("pagehide", close);
}
