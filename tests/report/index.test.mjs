// Opens the page about all runs in Chromium: its links, its keyboard, axe.
//
//   node --test tests/report/index.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertAccessible, goflame, launchForPictures, openPage, repository } from "./browser.mjs";

const evil = "</h3><script>alert(1)</script><img src=x onerror=alert(2)>\"'>\u202e";

let browser;
let project;

before(async () => {
  project = mkdtempSync(join(tmpdir(), "goflame-index-"));
  cpSync(join(repository, "tests/workloads/burner"), join(project, "burner"), { recursive: true });
  cpSync(join(repository, "tests/workloads/go.mod"), join(project, "go.mod"));
  writeFileSync(join(project, "goflame.toml"), 'app.package = "./burner"\n');
  execFileSync(goflame, ["run", "-q", "-f", "svg,html"], { cwd: project, stdio: "ignore" });
  const runs = join(project, ".goflame/runs");
  const [first] = readdirSync(runs);
  const manifest = JSON.parse(readFileSync(join(runs, first, "manifest.json"), "utf8"));
  for (let number = 1; number <= 14; number += 1) {
    const id = `202601${String(number).padStart(2, "0")}-000000-burner-${number.toString(16).padStart(4, "0")}`;
    mkdirSync(join(runs, id));
    const copy = structuredClone(manifest);
    Object.assign(copy, { id, sequence: 100 + number, created: `2026-01-${String(number).padStart(2, "0")}T00:00:00Z` });
    copy.workload.argv = ["burner", "-copied"];
    copy.workload.user_seconds = (number > 7 ? 1.5 : 1) + number / 1000;
    if (number === 14) Object.assign(copy, { hottest: evil, variant: evil });
    writeFileSync(join(runs, id, "manifest.json"), JSON.stringify(copy));
  }
  execFileSync(goflame, ["runs", "tag", "0003", "baseline"], { cwd: project, stdio: "ignore" });
  execFileSync(goflame, ["runs", "index"], { cwd: project, stdio: "ignore" });
  browser = await launchForPictures();
});

after(async () => {
  await browser?.close();
  rmSync(project, { recursive: true, force: true });
});

/** Opens the page about all runs. */
const open = (how) => openPage(browser, join(project, ".goflame/index.html"), how);

test("the table links to the reports, and the keyboard reaches them", async () => {
  const { page, problems } = await open();
  assert.equal(await page.$$eval("tbody tr", (rows) => rows.length), 15);
  assert.equal(await page.$$eval("tbody td", (cells) => cells.filter((cell) => cell.textContent === "baseline").length), 1);
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("href") ?? document.activeElement.tagName);
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "#trends-heading");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "DIV", "the table, which arrow keys scroll");
  await page.keyboard.press("Tab");
  const real = await focused();
  assert.match(real, /^runs\/2026.*\/report\.html$/);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  await page.waitForFunction(() => document.documentElement.dataset.ready, { timeout: 60_000 });
  assert.deepEqual(problems, []);
});

test("a change is shown as a hint with its run, and hostile names do nothing", async () => {
  const { page, problems } = await open();
  const hints = await page.$$eval("#trends ul li", (items) => items.map((item) => item.textContent));
  assert.equal(hints.length, 1);
  assert.match(hints[0], /^From 20260108-000000-burner-0008 on: median 1\.\d+ s instead of 1\.\d+ s \(\+\d+\.\d %\)\.$/);
  assert.equal(await page.$$eval("#trends .change", (lines) => lines.length), 1);
  assert.equal(await page.$$eval("script, img", (found) => found.length), 0);
  assert.ok((await page.$eval("tbody", (body) => body.textContent)).includes("<img src=x onerror=alert(2)>"));
  assert.deepEqual(problems, []);
});

test("axe finds no violation, in light and dark, wide and narrow", () =>
  assertAccessible("index", async (how) => (await open(how)).page));
