// The sound of "paid": off until somebody turns it on, and remembered on this device.
const KEY = "balcao-counter-sound";
const NOTES = [
  { hertz: 880, at: 0 },
  { hertz: 1320, at: 0.16 },
];
const SECONDS = 0.35;
let context = null;

function isOn() {
  try {
    return window.localStorage.getItem(KEY) === "on";
  } catch {
    return false;
  }
}

function remember(on) {
  try {
    window.localStorage.setItem(KEY, on ? "on" : "off");
  } catch {
    // Storage is blocked: the choice lasts as long as the page.
  }
}

function unlock() {
  const Context = window.AudioContext ?? window.webkitAudioContext;
  if (Context === undefined) return;
  context ??= new Context();
  if (context.state === "suspended") context.resume();
}

function ring() {
  unlock();
  if (context === null) return;
  for (const { hertz, at } of NOTES) {
    const start = context.currentTime + at;
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0.4, start);
    volume.gain.exponentialRampToValueAtTime(0.001, start + SECONDS);
    tone.connect(volume).connect(context.destination);
    tone.start(start);
    tone.stop(start + SECONDS);
  }
}

function draw(counter) {
  const { soundOn, soundOff } = counter.dataset;
  for (const button of counter.querySelectorAll("[data-sound]")) {
    button.hidden = false;
    button.setAttribute("aria-pressed", String(isOn()));
    button.querySelector("[data-sound-label]").textContent = isOn() ? soundOn : soundOff;
  }
}

/** Show the state of the sound, and let a tap change it. */
export function bindSound(counter) {
  draw(counter);
  if (counter.dataset.hasSound !== undefined) return;
  counter.dataset.hasSound = "";
  counter.addEventListener("click", (event) => {
    if (event.target.closest("[data-sound]") !== null) {
      remember(!isOn());
      draw(counter);
      if (isOn()) ring();
    } else if (isOn()) {
      unlock(); // a browser plays sound only after a tap
    }
  });
}

/** Ring, if the sound is on. */
export function playPaid() {
  if (isOn()) ring();
}
