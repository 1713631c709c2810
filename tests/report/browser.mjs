// Shared by the tests of the pages: paths, a browser, an accessibility check, and made-up profiles.
//
// The environment variables GOFLAME and CHROMIUM name other binaries. PICTURES names a directory for pictures of the pages.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

export const repository = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const goflame = process.env.GOFLAME ?? join(repository, "target/debug/goflame");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const launch = (...args) =>
  puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...args],
  });

/** Launches a browser for pictures that are the same on every machine. */
export const launchForPictures = () => launch("--disable-gpu", "--force-color-profile=srgb");

/** Opens a page of goflame. Collects problems: errors of its scripts, dialogs, and requests to a network. */
export async function openPage(browser, file, { fragment = "", width = 1280, dark = false } = {}) {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("request", (request) => request.url().startsWith("file:") || problems.push(request.url()));
  page.on("dialog", (dialog) => {
    problems.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.goto(pathToFileURL(file).href + fragment);
  return { page, problems };
}

/** Asserts in light and dark, wide and narrow, that axe finds no violation and the page needs no horizontal scrolling. */
export async function assertAccessible(name, open) {
  for (const dark of [false, true]) {
    for (const width of [1280, 390]) {
      const page = await open({ dark, width });
      // The page allows only its own scripts, but the browser's debugging protocol can run others.
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], `dark: ${dark}, ${width} px`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${width} px: ${overflow} px too wide`);
      if (process.env.PICTURES) await page.screenshot({ path: join(process.env.PICTURES, `${name}-${dark ? "dark" : "light"}-${width}.png`), fullPage: true });
      await page.close();
    }
  }
}

/** Returns a profile.proto of CPU time. `stack` has the root first. `count` is a number of samples of 1 ms each. */
export function profile(samples) {
  const names = [...new Set(samples.flatMap(({ stack }) => stack))];
  const strings = ["", "samples", "count", "cpu", "nanoseconds", ...names];
  const varint = (value) => {
    const bytes = [];
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
    return [...bytes, value];
  };
  const number = (field, value) => [...varint(field * 8), ...varint(value)];
  const message = (field, bytes) => [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
  const bytes = [...message(1, [...number(1, 1), ...number(2, 2)]), ...message(1, [...number(1, 3), ...number(2, 4)])];
  for (const { stack, count = 1 } of samples) {
    const locations = stack.toReversed().flatMap((name) => varint(names.indexOf(name) + 1));
    bytes.push(...message(2, [...message(1, locations), ...message(2, [...varint(count), ...varint(count * 1_000_000)])]));
  }
  names.forEach((_, at) => {
    bytes.push(...message(4, [...number(1, at + 1), ...message(4, number(1, at + 1))]));
    bytes.push(...message(5, [...number(1, at + 1), ...number(2, at + 5)]));
  });
  for (const one of strings) bytes.push(...message(6, [...new TextEncoder().encode(one)]));
  return Uint8Array.from(bytes);
}
