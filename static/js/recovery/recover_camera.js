// The camera: a browser that reads codes scans continuously; otherwise the payer takes a picture.
import { canReadHere, textsIn } from "./recover_reading.js";

const LOOK_EVERY_MS = 250;
const QUALITY = 0.9;

/**
 * Handle the camera's buttons in `form`; calls `onCodes(texts)` or `onPicture(picture)`, which
 * returns whether the picture was enough: if not, the camera stays on for another one.
 */
export function openCamera(form, { say, onCodes, onPicture }) {
  const opener = form.querySelector("[data-camera-open]");
  const box = form.querySelector("[data-camera]");
  const video = box.querySelector("video");
  const taker = box.querySelector("[data-camera-take]");
  const why = {
    NotAllowedError: box.dataset.denied,
    SecurityError: box.dataset.denied,
    NotReadableError: box.dataset.busy,
  };
  let stream = null;
  let isOpening = false;

  // Hide the buttons where a page can have no camera, such as on an address without TLS.
  if (!navigator.mediaDevices?.getUserMedia) return;
  opener.hidden = false;

  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    box.hidden = true;
    opener.hidden = false;
  };

  const look = async (watchedStream) => {
    if (stream !== watchedStream) return;
    const texts = video.videoWidth > 0 ? await textsIn(video) : [];
    if (stream !== watchedStream) return;
    if (texts.length > 0) {
      close();
      onCodes(texts);
      return;
    }
    setTimeout(look, LOOK_EVERY_MS, watchedStream);
  };

  const open = async () => {
    if (isOpening) return;
    isOpening = true;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: { ideal: "environment" } },
        audio: false,
      });
    } catch (error) {
      say(why[error.name] ?? box.dataset.none, true);
      return;
    } finally {
      isOpening = false;
    }
    const openStream = stream;
    opener.hidden = true;
    box.hidden = false;
    say(box.dataset.aim);
    taker.focus();
    video.srcObject = openStream;
    try {
      await video.play();
    } catch {
      return; // closed again before its first picture
    }
    if (await canReadHere()) look(openStream);
  };

  const take = async () => {
    if (video.videoWidth === 0 || taker.disabled) return;
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    taker.disabled = true;
    const picture = await new Promise((resolve) => {
      canvas.toBlob(resolve, "image/jpeg", QUALITY);
    });
    const isEnough = picture !== null && (await onPicture(picture));
    taker.disabled = false;
    if (isEnough) close();
  };

  opener.addEventListener("click", open);
  taker.addEventListener("click", take);
  box.querySelector("[data-camera-close]").addEventListener("click", () => {
    close();
    say("");
    opener.focus();
  });
  window.addEventListener("pagehide", close);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && stream !== null) close();
  });
}
