// Opens report.html of real runs in Chromium and uses it: mouse, keyboard, search, time range, groups.
//
//   node --test tests/report/report.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertAccessible, goflame, launchForPictures, openPage, profile, repository } from "./browser.mjs";

let browser;
let project;
let summary;

before(async () => {
  project = mkdtempSync(join(tmpdir(), "goflame-report-"));
  cpSync(join(repository, "examples/gcpressure"), project, { recursive: true, filter: (path) => !path.endsWith(".goflame") });
  const main = join(project, "main.go");
  // The page shows source lines unchanged, except for secrets.
  const comment = '{ // </script><script>alert(3)</script> password = "hunter2secret"';
  writeFileSync(main, readFileSync(main, "utf8").replace(/^(func .*)\{$/gm, (_, head) => head + comment));
  execFileSync(goflame, ["run", "-q", "-f", "html", "--", "-duration", "2s", "-workers", "4"], { cwd: project, stdio: "inherit" });
  execFileSync(goflame, ["report", "latest", "-o", "report.html"], { cwd: project });
  summary = JSON.parse(execFileSync(goflame, ["report", "latest", "-f", "json"], { cwd: project, maxBuffer: 1 << 28 }));
  browser = await launchForPictures();
});

after(async () => {
  await browser?.close();
  rmSync(project, { recursive: true, force: true });
});

/** Opens a report and waits until it is drawn. */
async function open(file = join(project, "report.html"), how = {}) {
  const { page, problems } = await openPage(browser, file, how);
  await page.waitForFunction(() => document.documentElement.dataset.ready, { timeout: 60_000 });
  return { page, problems };
}

const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
/** Formats a share with as many digits as the number of samples justifies. */
const percent = (part) => `${part.toFixed(summary.samples >= 1000 ? 1 : 0)} %`;

/** Returns the rows of the table of functions. */
const functions = (page) =>
  page.$$eval("#functions tbody tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));

/** Returns the index and the position on the screen of the widest frame with this name. */
const frame = (page, name) =>
  page.evaluate((name) => {
    const { graph } = globalThis.page;
    const { label, labels, total } = graph.tree;
    const nodes = [...label.keys()].filter((node) => label[node] >= 0 && labels[label[node]] === name);
    const node = nodes.sort((a, b) => total[b] - total[a])[0];
    graph.reveal(node);
    const { left, width } = graph.box(node);
    const area = graph.canvas.getBoundingClientRect();
    return { node, x: area.left + (left + width / 2) * area.width, y: area.top + (graph.tree.depth[node] + 0.5) * 20 - graph.scroller.scrollTop };
  }, name);

test("the page has the figures of summary.json", async () => {
  const { page, problems } = await open();
  const rows = await functions(page);
  for (const [at, row] of rows.slice(0, 10).entries()) {
    const expected = summary.functions[at];
    assert.deepEqual(row.slice(0, 3), [percent(expected.self_percent), percent(expected.cumulative_percent), expected.display]);
  }
  assert.match(await text(page, "#verdict"), new RegExp(`^Quality ${summary.quality.grade}`));
  assert.match(await text(page, "#facts"), /gcpressure -duration 2s -workers 4/);
  assert.match(await text(page, "#selected"), /^100(\.0)? % all/);
  assert.deepEqual(problems, []);
});

test("a click zooms, Escape leaves, and the link shows what its sender saw", async () => {
  const { page, problems } = await open();
  const at = await frame(page, "runtime.mallocgc");
  await page.mouse.move(at.x, at.y);
  assert.match(await text(page, "#selected"), /% runtime\.mallocgc · [\d.]+ m?s.* · runtime\/malloc\.go:\d+/);
  await page.mouse.click(at.x, at.y);
  assert.equal(await page.evaluate(() => globalThis.page.graph.zoomed), at.node);
  const link = await page.evaluate(() => location.hash);
  assert.match(link, /zoom=runtime.mallocgc$/);
  const { page: other } = await open(undefined, { fragment: link });
  assert.equal(await other.evaluate(() => globalThis.page.graph.zoomed), at.node);
  await page.focus("#frames");
  await page.keyboard.press("Escape");
  assert.ok((await page.evaluate(() => globalThis.page.graph.zoomed)) < at.node);
  assert.deepEqual(problems, []);
});

test("a search shows how much of the time its matches are on the stack", async () => {
  const { page, problems } = await open();
  const expected = summary.functions.find((one) => one.display === "runtime.mallocgc");
  await page.type("#search", "^runtime\\.mallocgc$");
  assert.ok((await text(page, "#status")).includes(`is on the stack in ${percent(expected.cumulative_percent)}`), await text(page, "#status"));
  await page.type("#search", "(");
  assert.match(await text(page, "#status"), /in 0(\.0)? %/, "an incomplete expression is a plain text");
  assert.deepEqual(problems, []);
});

test("a selected range of time redraws everything", async () => {
  const { page, problems } = await open();
  const whole = await page.evaluate(() => globalThis.page.tree.total[0]);
  await page.$eval("#heat", (canvas) => canvas.scrollIntoView());
  const { x, y, width } = await (await page.$("#heat")).boundingBox();
  await page.mouse.move(x + width * 0.2, y + 20);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.5, y + 30);
  await page.mouse.up();
  const range = await page.evaluate(() => globalThis.page.range);
  const part = await page.evaluate(() => globalThis.page.tree.total[0]);
  assert.ok(part > whole * 0.2 && part < whole * 0.45, `${part} of ${whole} in ${range}`);
  const args = ["report", "latest", "-f", "json", "--from", `${range[0]}`, "--to", `${range[1]}`];
  const json = JSON.parse(execFileSync(goflame, args, { cwd: project, maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] }));
  assert.equal(json.total, part, "the same range on the command line");
  // The run has no events of the Go runtime, so there are no lanes.
  assert.deepEqual(await page.evaluate(() => [globalThis.page.heat.lanes.height, document.getElementById("figures").hidden]), [0, true]);
  assert.match(await page.evaluate(() => location.hash), /range=/);
  await page.click("#whole");
  assert.equal(await page.evaluate(() => globalThis.page.tree.total[0]), whole);
  assert.deepEqual(problems, []);
});

test("groups, hidden frames, the inverted tree and the sandwich keep the total", async () => {
  const { page, problems } = await open();
  const whole = await page.evaluate(() => globalThis.page.tree.total[0]);
  const shown = () => page.evaluate(() => globalThis.page.shown.total[0]);
  for (const group of await page.$$eval("#group option", (options) => options.map((one) => one.value))) {
    await page.select("#group", group);
    assert.equal(await shown(), whole, group);
  }
  await page.select("#group", "goroutine");
  assert.ok(await page.evaluate(() => globalThis.page.shown.labels.some((label) => / goroutine \d+ /.test(label))));
  await page.select("#group", "");
  for (const box of ["kernel", "runtime", "inlined", "recursion", "packages"]) {
    await page.click(`#${box}`);
    assert.equal(await shown(), whole, box);
  }
  assert.ok(!(await functions(page)).some(([, , name]) => name === "runtime"), "the runtime is hidden");
  for (const box of ["kernel", "runtime", "inlined", "recursion", "packages"]) await page.click(`#${box}`);
  await page.select("#view", "inverted");
  assert.ok(Math.abs((await shown()) - whole) < whole * 1e-9);
  const [first] = await functions(page);
  // Several functions can have the same weight.
  const heaviest = await page.evaluate(() => {
    const { shown } = globalThis.page;
    const leaves = shown.label.map((_, node) => node).filter((node) => shown.depth[node] === 1);
    const most = Math.max(...leaves.map((node) => shown.total[node]));
    return leaves.filter((node) => shown.total[node] > most * (1 - 1e-9)).map((node) => shown.labels[shown.label[node]]);
  });
  assert.ok(heaviest.includes(first[2]), `${first[2]} is not among ${heaviest}`);
  await page.$$eval("#functions td button", (buttons) => buttons.find((button) => button.textContent === "runtime.mallocgc").click());
  const expected = summary.functions.find((one) => one.display === "runtime.mallocgc").cumulative;
  assert.equal(await page.$eval("#view", (view) => view.value), "sandwich");
  assert.equal(await shown(), expected);
  assert.equal(await page.evaluate(() => globalThis.page.callers.tree.total[0]), expected);
  assert.deepEqual(problems, []);
});

/** Returns the JSON of a view of the latest run. */
const view = (...args) => JSON.parse(execFileSync(goflame, ["report", "-q", "latest", "--json", ...args], { cwd: project, maxBuffer: 1 << 28 }));

test("source lines have the figures of --list", async () => {
  const { page, problems } = await open();
  const name = summary.own_lines[0].function;
  await page.$eval("#own td.place button", (button) => button.click());
  assert.equal(await page.$eval("#source-of", (choice) => choice.selectedOptions[0].textContent), name);
  const [expected] = view("--list", `^${name.replace(/[^\w]/g, "\\$&")}$`).functions;
  const weighted = expected.lines.filter((line) => line.cumulative > 0);
  const rows = await page.$$eval("#source tbody tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
  const least = summary.samples >= 1000 ? 0.1 : 1;
  const share = (weight) => {
    const part = (weight / summary.total) * 100;
    return weight === 0 ? "" : part < least / 2 ? `< ${least} %` : percent(part);
  };
  assert.deepEqual(
    rows.filter((row) => row[1]),
    weighted.map((line) => [share(line.self), share(line.cumulative), String(line.line), line.text.replaceAll("\t", "    ")]),
  );
  const head = rows.find((row) => row[3].startsWith("func "));
  assert.ok(head[3].includes("</script><script>alert(3)</script>"), head[3]);
  assert.ok(!(await page.evaluate(() => JSON.stringify(globalThis.page.meta))).includes("hunter2secret"));
  assert.deepEqual(problems, []);

  execFileSync(goflame, ["report", "latest", "-q", "--no-source", "-o", "bare.html"], { cwd: project });
  const { page: bare } = await open(join(project, "bare.html"));
  assert.equal(await bare.evaluate(() => globalThis.page.meta.sources.length), 0);
  assert.equal(await bare.$eval("#source", (section) => section.hidden), true);
  assert.match(await text(bare, "#no-source"), /This page holds no source/);
});

test("the page of a heap profile shows each of its sample types", async () => {
  execFileSync("go", ["build", "-o", join(project, "profiles"), "./profiles"], { cwd: join(repository, "tests/workloads"), stdio: "inherit" });
  execFileSync(join(project, "profiles"), [project]);
  const report = (...args) => execFileSync(goflame, ["report", "-q", ...args], { cwd: project, maxBuffer: 1 << 28 });
  report("heap.pb.gz", "-o", "heap.html");
  const file = join(project, "heap.html");
  const { page, problems } = await open(file);
  assert.equal(await page.$eval("#event", (event) => event.value), "inuse_space");
  for (const type of ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]) {
    await page.select("#event", type);
    const expected = JSON.parse(report("heap.pb.gz", "--sample-type", type, "--json"));
    const share = (part) => {
      const digits = expected.samples >= 1000 ? 1 : 0;
      return part > 0 && part < 0.5 / 10 ** digits ? `< ${(1 / 10 ** digits).toFixed(digits)} %` : `${part.toFixed(digits)} %`;
    };
    assert.equal(await page.evaluate(() => globalThis.page.tree.total[0]), expected.total, type);
    const rows = new Map((await functions(page)).map(([self, cumulative, name]) => [name, [self, cumulative]]));
    // The page shows the instances of a generic function as one.
    const instances = expected.functions.filter((one) => one.display.includes("[...]")).map((one) => one.display);
    for (const one of expected.functions.slice(0, 10).filter((one) => !instances.includes(one.display))) {
      assert.deepEqual(rows.get(one.display), [share(one.self_percent), share(one.cumulative_percent)], `${type} of ${one.display}`);
    }
    const own = await page.$$eval("#own tbody tr", (rows) => rows.map((row) => [row.cells[0].textContent, row.cells[2].textContent]));
    assert.deepEqual(own, expected.own_lines.map((line) => [share((line.weight / expected.total) * 100), line.function]).slice(0, own.length), type);
    assert.ok(own.length > 0);
    const unit = type.endsWith("_space") ? "bytes" : type;
    assert.equal(await text(page, "#status"), `${expected.total.toLocaleString("en")} ${unit}`);
    assert.equal(new URL(page.url()).hash, type === "inuse_space" ? "" : `#event=${type}`);
  }
  assert.deepEqual(problems, []);
  const { page: linked } = await open(file, { fragment: "#event=alloc_space" });
  assert.equal(await linked.$eval("#event", (event) => event.value), "alloc_space");
  await assertAccessible("heap", async (how) => (await open(file, how)).page);

  report("cpu.pb.gz", "-o", "cpu.html");
  const { page: one } = await open(join(project, "cpu.html"));
  assert.equal(await one.$eval("#events", (label) => label.hidden), true, "samples and their time have the same shares");
});

test("a hot path is shown in the picture", async () => {
  const { page, problems } = await open();
  const expected = view("--paths").paths;
  const shares = await page.$$eval("#hot-paths .share", (shares) => shares.map((share) => share.textContent));
  assert.deepEqual(shares.slice(0, 10), expected.map((path) => percent((path.weight / summary.total) * 100)).slice(0, 10));
  await page.$eval("#hot-paths button", (button) => button.click());
  const names = await page.evaluate(() => globalThis.page.zoomed);
  const path = expected.find((one) => one.weight === expected[0].weight && one.path.length === names.length);
  assert.deepEqual(names, path.path.map((one) => one.display));
  const zoomed = await page.evaluate(() => globalThis.page.graph.tree.self[globalThis.page.graph.zoomed]);
  assert.equal(zoomed, expected[0].weight);
  assert.deepEqual(problems, []);
});

test("the keyboard moves through the call tree", async () => {
  const { page, problems } = await open();
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  await page.focus("#tree li");
  assert.match(await focused(), /^100(\.0)? % all$/);
  await page.keyboard.press("ArrowRight");
  const first = await focused();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  const level = await page.evaluate(() => document.activeElement.getAttribute("aria-level"));
  assert.equal(level, "3");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await focused(), first);
  await page.keyboard.press("Home");
  assert.match(await focused(), /all$/);
  assert.deepEqual(problems, []);
});

test("axe finds no violation, in light and dark, wide and narrow", () =>
  assertAccessible("report", async (how) => {
    const { page } = await open(undefined, how);
    await page.click("#about summary");
    return page;
  }));

test("hostile names do nothing", async () => {
  const evil = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "]]>", "a\u202eb", "'\"&amp;", "x".repeat(10_000), "__proto__"];
  const file = join(project, "hostile.html");
  const pprof = join(project, "hostile.pb.gz");
  writeFileSync(pprof, profile(evil.map((name) => ({ stack: [name] }))));
  execFileSync(goflame, ["report", pprof, "-o", file, "--title", "<b>&</title><script>alert(2)</script>"], { cwd: project, stdio: "ignore" });
  const { page, problems } = await open(file);
  const names = (await functions(page)).map((row) => row[2]);
  assert.equal(names.length, evil.length);
  assert.ok(names.includes(evil[0]) && names.includes(evil[1]), names.map((name) => name.slice(0, 50)).join("\n"));
  await page.select("#view", "inverted");
  await page.type("#search", "proto");
  assert.match(await text(page, "#status"), /14 %/);
  assert.deepEqual(problems, []);
});
