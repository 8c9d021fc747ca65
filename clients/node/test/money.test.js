import assert from "node:assert/strict";
import { test } from "node:test";

import { reais } from "../src/money.js";

test("an amount is exact from every form", () => {
  assert.equal(reais("54.90"), "54.90");
  assert.equal(reais(54.9), "54.9");
  assert.equal(reais(9999999999.99), "9999999999.99");
  assert.equal(reais({ centavos: 1 }), "0.01");
  assert.equal(reais({ centavos: 999999999999 }), "9999999999.99");
});

test("a number that a calculation has bent is refused, not rounded", () => {
  assert.throws(() => reais(0.1 + 0.2), RangeError);
  assert.throws(() => reais(1.005), RangeError);
  for (const value of [NaN, Infinity, -1, 1e21, 1e-7])
    assert.throws(() => reais(value), RangeError);
});

test("other texts and other things are no amounts", () => {
  for (const text of ["", "1,50", "1.505", "1e3", " 1", "-1", "1.", "٣"]) {
    assert.throws(() => reais(text), RangeError, text);
  }
  for (const value of [null, undefined, true, 10n, {}, { centavos: 1.5 }, { centavos: -1 }]) {
    assert.throws(() => reais(value), TypeError);
  }
});
