import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

import * as balcao from "../src/index.js";

const ROOT = new URL("../", import.meta.url);
const types = await readFile(new URL("index.d.ts", ROOT), "utf8");

test("the types declare the names that the package exports", () => {
  const names = [...types.matchAll(/^export (?:class|function|const) (\w+)/gm)].map(
    ([, name]) => name,
  );
  assert.deepEqual(names.sort(), Object.keys(balcao).sort());
});

test("the types declare the classes of errors with the parents that they have", () => {
  const pairs = [...types.matchAll(/^export class (\w+) extends (\w+)/gm)];
  for (const [, name, parent] of pairs) {
    const expected = parent === "Error" ? Error : balcao[parent];
    assert.equal(Object.getPrototypeOf(balcao[name]), expected, name);
  }
  assert.ok(pairs.length > 10);
});

test("the types declare the methods that the parts have", () => {
  const shop = new balcao.Balcao({ url: "https://pay.example" });
  for (const part of ["Payments", "Events", "Webhooks"]) {
    const [, text] = new RegExp(`export interface ${part} \\{\\n(.*?)\\n\\}`, "s").exec(types);
    const names = [...text.matchAll(/^ {2}(\w+)\(/gm)].map(([, name]) => name);
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(shop[part.toLowerCase()]));
    assert.deepEqual(names.sort(), methods.filter((name) => name !== "constructor").sort());
  }
});

test("the types declare what is said of real banks", () => {
  const members = (name) => {
    const [, text] = new RegExp(`export interface ${name} \\{\\n(.*?)\\n\\}`, "s").exec(types);
    return [...text.matchAll(/^ {2}(\w+): (.+);$/gm)].map(([, member, type]) => `${member}: ${type}`);
  };
  assert.ok(members("Payment").includes("provider: Provider"));
  assert.deepEqual(members("Provider"), [
    "name: string",
    "account: string | null",
    "txid: string",
    "status: string",
  ]);
  for (const member of ["by_bank: boolean", "nature: string | null", "return_id: string | null"]) {
    assert.ok(members("Refund").includes(member), member);
  }
  assert.ok(members("Receipt").includes("misfit: string | null"));
});

test("the version stands in package.json and in the source", async () => {
  const manifest = JSON.parse(await readFile(new URL("package.json", ROOT), "utf8"));
  assert.equal(balcao.VERSION, manifest.version);
  assert.equal(manifest.dependencies, undefined);
});

test("the source imports Node's own modules alone", async () => {
  const folder = new URL("src/", ROOT);
  const files = await readdir(folder);
  for (const file of files) {
    const source = await readFile(new URL(file, folder), "utf8");
    for (const [, name] of source.matchAll(/from "([^"]+)"/g)) assert.match(name, /^(node:|\.\/)/);
  }
  assert.ok(files.length > 5);
});
