// The camera: a frame every half second is sent to the bank, which reads the code in it.

const FRAME_EVERY_MS = 500;
const FRAME_SIDE_MAX = 1280;
const FRAME_QUALITY = 0.8;
const ANSWER_WITHIN_MS = 5000;
const SAY_NOTHING_FOUND_AFTER = 20;

const WHY_NOT = {
  NotAllowedError: "A câmera não foi liberada. Envie uma imagem ou cole o código.",
  NotFoundError: "Este aparelho não tem câmera. Envie uma imagem ou cole o código.",
  NotReadableError: "A câmera está em uso por outro aplicativo.",
};

/** Draw what the camera shows, no larger than it needs to be, as a JPEG. */
function frameOf(video, canvas) {
  const scale = Math.min(1, FRAME_SIDE_MAX / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, "image/jpeg", FRAME_QUALITY); });
}

/** Wire the camera's box: its button turns it on and off; a code found leads to the review. */
function setUp(box) {
  const video = box.querySelector("video");
  const status = box.querySelector("[role=status]");
  const button = box.querySelector("button");
  const canvas = document.createElement("canvas");
  let stream = null;
  let misses = 0;

  const say = (text) => {
    status.hidden = !text;
    if (status.textContent !== text) status.textContent = text;
  };

  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    video.hidden = true;
    button.textContent = "Usar a câmera";
    button.setAttribute("aria-pressed", "false");
  };

  const read = async (frame) => {
    const answer = await fetch(box.dataset.camera, {
      method: "POST",
      headers: { "Content-Type": "image/jpeg", "X-Form-Token": box.dataset.token },
      body: frame,
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    return answer.json();
  };

  const look = async (watched) => {
    if (stream !== watched) return;
    try {
      const frame = video.videoWidth ? await frameOf(video, canvas) : null;
      const told = frame ? await read(frame) : {};
      if (stream !== watched) return;
      if (told.review_url || told.login_url) {
        stop();
        say(told.review_url ? "Código lido." : told.detail);
        location.assign(told.review_url ?? told.login_url);
        return;
      }
      misses += 1;
      if (misses > SAY_NOTHING_FOUND_AFTER && told.detail) say(told.detail);
    } catch {
      // Offline or slow: the next frame may get through.
    }
    setTimeout(look, FRAME_EVERY_MS, watched);
  };

  const start = async () => {
    misses = 0;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: { ideal: "environment" } },
        audio: false,
      });
    } catch (error) {
      say(WHY_NOT[error.name] ?? "A câmera não abriu. Envie uma imagem ou cole o código.");
      return;
    }
    video.hidden = false;
    video.srcObject = stream;
    button.textContent = "Parar a câmera";
    button.setAttribute("aria-pressed", "true");
    say("Aponte para o QR code.");
    await video.play();
    look(stream);
  };

  box.hidden = false;
  button.addEventListener("click", () => (stream ? (stop(), say("")) : start()));
  window.addEventListener("pagehide", stop);
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); });
}

// Without a secure address or a camera's interface the box stays hidden: the form is enough.
if (navigator.mediaDevices?.getUserMedia) {
  document.querySelectorAll("[data-camera]").forEach(setUp);
}
