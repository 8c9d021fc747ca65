/** Amounts of reais, exact to the centavo. */

/**
 * The amount as the service reads it, such as "54.90".
 *
 * JSON numbers are exact enough to read: every amount up to 9999999999.99 has a number that prints as
 * it. Calculations are not: 0.1 + 0.2 prints as 0.30000000000000004. So a number with more than two
 * decimals is refused and never rounded, and `{ centavos }` takes the integer that a shop calculates
 * with. Throws TypeError and RangeError; the service checks the range.
 */
export function reais(value) {
  if (typeof value === "number") return ofNumber(value);
  if (typeof value === "string") {
    if (/^[0-9]{1,16}(\.[0-9]{1,2})?$/.test(value)) return value;
    throw new RangeError(
      "An amount in a text is like 54.90: digits, a point, two decimals at most.",
    );
  }
  if (Number.isSafeInteger(value?.centavos) && value.centavos >= 0) {
    const digits = String(value.centavos).padStart(3, "0");
    return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
  }
  throw new TypeError('An amount is "54.90", 54.9 or { centavos: 5490 }.');
}

function ofNumber(value) {
  const text = String(value);
  if (/^[0-9]+(\.[0-9]{1,2})?$/.test(text)) return text;
  throw new RangeError(
    `${text} is no amount with at most two decimals: pass { centavos } instead.`,
  );
}
