// Sends a frame of the camera to the bank every half second; the bank reads the code in it.
import { abortAfter } from "./abort_after.js";

const FRAME_INTERVAL_MS = 500;
const FRAME_SIDE_MAX = 1280;
const FRAME_QUALITY = 0.8;
const ANSWER_TIMEOUT_MS = 5000;
const FRAMES_BEFORE_HINT = 20;

/** The error's name in `getUserMedia`, and the attribute of the box with its sentence. */
const CAMERA_ERRORS = {
  NotAllowedError: "notAllowed",
  NotFoundError: "notPresent",
  NotReadableError: "inUse",
};

/** The current frame as a JPEG, reduced to FRAME_SIDE_MAX. */
function frameOf(video, canvas) {
  const scale = Math.min(1, FRAME_SIDE_MAX / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", FRAME_QUALITY); });
}

/** Set up the camera box: the button starts and stops it, and a code leads to the review. */
function setUp(box) {
  const video = box.querySelector("video");
  const status = box.querySelector("[role=status]");
  const button = box.querySelector("button");
  const canvas = document.createElement("canvas");
  const texts = box.dataset;
  let stream = null;
  let misses = 0;

  const showStatus = (text) => {
    status.hidden = !text;
    if (status.textContent !== text) status.textContent = text;
  };

  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    video.hidden = true;
    button.textContent = texts.start;
    button.setAttribute("aria-pressed", "false");
  };

  const readCode = async (frame) => {
    const response = await fetch(box.dataset.camera, {
      method: "POST",
      headers: { "Content-Type": "image/jpeg", "X-Form-Token": box.dataset.token },
      body: frame,
      signal: abortAfter(ANSWER_TIMEOUT_MS),
    });
    return response.json();
  };

  const scanFrame = async (activeStream) => {
    if (stream !== activeStream) return;
    try {
      const frame = video.videoWidth ? await frameOf(video, canvas) : null;
      const result = frame ? await readCode(frame) : {};
      if (stream !== activeStream) return;
      if (result.review_url || result.login_url) {
        stop();
        showStatus(result.review_url ? texts.success : result.detail);
        location.assign(result.review_url ?? result.login_url);
        return;
      }
      misses += 1;
      if (misses > FRAMES_BEFORE_HINT && result.detail) showStatus(result.detail);
    } catch {
      // Offline or slow: the next frame may get through.
    }
    setTimeout(scanFrame, FRAME_INTERVAL_MS, activeStream);
  };

  const start = async () => {
    misses = 0;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: { ideal: "environment" } },
        audio: false,
      });
    } catch (error) {
      showStatus(texts[CAMERA_ERRORS[error.name] ?? "failure"]);
      return;
    }
    video.hidden = false;
    video.srcObject = stream;
    button.textContent = texts.stop;
    button.setAttribute("aria-pressed", "true");
    showStatus(texts.aim);
    await video.play();
    scanFrame(stream);
  };

  box.hidden = false;
  button.addEventListener("click", () => (stream ? (stop(), showStatus("")) : start()));
  window.addEventListener("pagehide", stop);
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); });
}

// Browsers offer the camera only on secure addresses. Without it the box stays hidden, and the form
// remains.
if (navigator.mediaDevices?.getUserMedia) {
  document.querySelectorAll("[data-camera]").forEach(setUp);
}
