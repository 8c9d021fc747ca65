// The keypad of the counter: digits move in from the right, as on a card machine.
const DIGITS_MAX = 9;

const format = (digits) => {
  if (digits === "") return "";
  const padded = digits.padStart(3, "0");
  const reais = padded.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ".");
  return `${reais},${padded.slice(-2)}`;
};

const digitsOf = (text) => text.replace(/\D/g, "").replace(/^0+/, "");

export function bindKeypad(stage) {
  const field = stage.querySelector("[data-amount]");
  const keypad = stage.querySelector("[data-keypad]");
  if (field === null || keypad === null) return;
  keypad.hidden = false;
  field.inputMode = "none"; // the keypad stands in for the keyboard of the phone
  const write = (digits) => {
    field.value = format(digits.slice(0, DIGITS_MAX));
  };
  field.addEventListener("input", () => write(digitsOf(field.value)));
  keypad.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (key === undefined) return;
    const digits = digitsOf(field.value);
    write(key === "back" ? digits.slice(0, -1) : digitsOf(digits + key));
  });
}
