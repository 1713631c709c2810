// Opens report.html of a server's run with events of the Go runtime in Chromium, and checks the lanes above the heat map.
//
//   node --test tests/report/timeline.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertAccessible, goflame, launchForPictures, openPage, repository } from "./browser.mjs";

const SETTINGS = `
[app]
package = "."
name = "gcpressure"
[build]
variant = "release"
[workload]
args = ["-duration", "60s", "-workers", "4"]
env = { GOGC = "50" }
warmup = "500ms"
duration = "1s"
load = ["sleep", "60"]
[runtime]
gctrace = true
schedtrace = "20ms"
[report]
formats = ["html"]
`;

let browser;
let project;
let workload;
// The events of the run, with times in seconds since the first sample.
let collections;
let queues;

before(async () => {
  project = mkdtempSync(join(tmpdir(), "goflame-timeline-"));
  for (const name of ["go.mod", "main.go"]) cpSync(join(repository, "examples/gcpressure", name), join(project, name));
  writeFileSync(join(project, "goflame.toml"), SETTINGS);
  execFileSync(goflame, ["run", "-q"], { cwd: project, stdio: "inherit" });
  const runs = join(project, ".goflame/runs");
  const run = join(runs, readdirSync(runs)[0]);
  cpSync(join(run, "report.html"), join(project, "report.html"));
  workload = JSON.parse(readFileSync(join(run, "manifest.json"))).workload;
  const times = execFileSync("perf", ["script", "-i", join(run, "perf.data"), "-F", "time", "--ns"], { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });
  const first = Math.min(...String(times).match(/[\d.]+(?=:)/g).map(Number));
  const { gc, scheduler } = JSON.parse(readFileSync(join(run, "runtime.json")));
  collections = gc.map((event) => ({ ...event, from: event.time_ns / 1e9 - first })).sort((a, b) => a.from - b.from);
  queues = scheduler.map((event) => ({ at: event.time_ns / 1e9 - first, length: event.processor_queues.reduce((sum, one) => sum + one, event.run_queue) }));
  workload.phases = workload.phases.map(({ name, start_ns, end_ns }) => [name, start_ns / 1e9 - first, end_ns / 1e9 - first]);
  browser = await launchForPictures();
});

after(async () => {
  await browser?.close();
  rmSync(project, { recursive: true, force: true });
});

async function open(how = {}) {
  const { page, problems } = await openPage(browser, join(project, "report.html"), how);
  await page.waitForFunction(() => document.documentElement.dataset.ready, { timeout: 60_000 });
  return { page, problems };
}

const inRange = (second, [from, to]) => second >= from && second < to;

/** Returns the figures of a range in the words of the page. */
function figures(range) {
  const cycles = collections.filter((cycle) => inRange(cycle.from, range));
  const states = queues.filter((state) => inRange(state.at, range));
  const least = Math.min(...cycles.flatMap((cycle) => [cycle.heap_before_mb, cycle.heap_live_mb]));
  const most = Math.max(...cycles.flatMap((cycle) => [cycle.heap_before_mb, cycle.heap_after_mb]));
  const longest = Math.max(...states.map((state) => state.length));
  return [
    ["GC cycles", `${cycles.length}`],
    ["Heap", cycles.length > 0 ? `${least} to ${most} MiB` : "no GC cycle"],
    ["Run queue", states.length > 0 ? `at most ${longest} goroutine${longest === 1 ? "" : "s"}` : "not reported"],
  ];
}

/** Returns half a second of the window around a GC cycle. */
function rangeWithCycle() {
  const cycle = collections.find(({ from }) => from >= 0.2 && from < 0.8) ?? collections.find(({ from }) => from >= 0 && from < 0.9);
  assert.ok(cycle, "the program collects in its window");
  const from = Number(Math.min(Math.max(cycle.from - 0.25, 0), 0.4).toFixed(2));
  return [from, Number((from + 0.5).toFixed(2))];
}

const table = (page) => page.$$eval("#figures tbody tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));

test("the page has the phases, load, GC cycles, heap and run queue of the run", async () => {
  const { page, problems } = await open();
  const shown = await page.evaluate(() => globalThis.page.data.timeline);
  const near = (a, b, what) => assert.ok(Math.abs(a - b) < 5e-6, `${what}: ${a} instead of ${b}`);
  assert.deepEqual(shown.phases.map(([name]) => name), ["start", "warm-up", "window", "stop"].filter((name) => workload.phases.some(([one]) => one === name)));
  shown.phases.forEach(([name, from, to], at) => {
    near(from, workload.phases[at][1], `start of ${name}`);
    near(to, workload.phases[at][2], `end of ${name}`);
  });
  assert.ok(collections.length > 2 && queues.length > 2, "the program collects, and the runtime reports it");
  assert.equal(shown.collections.length, collections.length);
  shown.collections.forEach((cycle, at) => {
    const expected = collections[at];
    near(cycle.from, expected.from, `start of GC cycle ${at}`);
    near(cycle.to - cycle.from, expected.clock_ns.reduce((sum, ns) => sum + ns, 0) / 1e9, `length of GC cycle ${at}`);
    assert.deepEqual([cycle.before, cycle.after, cycle.live], [expected.heap_before_mb, expected.heap_after_mb, expected.heap_live_mb]);
  });
  assert.deepEqual(shown.queues.map((state) => state.length), queues.map((state) => state.length));
  shown.queues.forEach((state, at) => near(state.at, queues[at].at, `state ${at} of the scheduler`));

  const length = ([name, from, to]) => [`Phase ${name}`, `${(to - from).toFixed(2)} s`];
  const load = ["Load", `${workload.load.wall_seconds.toFixed(2)} s`];
  const expected = [...workload.phases.map(length), load, ...figures([-Infinity, Infinity])];
  assert.deepEqual(await table(page), expected);
  const label = await page.$eval("#heat", (canvas) => canvas.getAttribute("aria-label"));
  assert.equal(label, `Samples by time${expected.map(([name, text]) => `; ${name}: ${text}`).join("")}`);
  assert.deepEqual(problems, []);
});

test("marks and curves are drawn at the times of their events", async () => {
  const { page, problems } = await open();
  const wrong = await page.evaluate(async () => {
    const { heat, data } = globalThis.page;
    heat.draw();
    const { lanes, canvas, context } = heat;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).match(/\w\w/g).map((part) => Number.parseInt(part, 16));
    const x = (second) => Math.round(((second / heat.span - heat.first) / heat.columns) * canvas.width);
    const isPainted = (left, top, width, height, name) => {
      const { data } = context.getImageData(left, top, width, height);
      const wanted = color(name);
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 100 && wanted.every((part, of) => Math.abs(part - data[at + of]) < 60)) return true;
      return false;
    };
    // Above the cells, from below: run queue, heap, GC cycles.
    const [queue, heap, marks] = [...lanes.lanes].reverse();
    const bottoms = [lanes.height, lanes.height - queue.height, lanes.height - queue.height - heap.height].map((bottom) => bottom - 2);
    const wrong = [];
    const most = Math.max(...data.timeline.collections.map((cycle) => Math.max(cycle.before, cycle.after)));
    for (const { from, before } of data.timeline.collections) {
      if (!isPainted(x(from) - 1, bottoms[2] - 5, 3, 1, "gc")) wrong.push(`no mark at ${from} s`);
      if (!isPainted(x(from) - 2, Math.round(bottoms[1] - 1 - (before / most) * 32) - 2, 5, 5, "heap")) wrong.push(`no heap of ${before} MiB at ${from} s`);
    }
    const longest = Math.max(...data.timeline.queues.map((state) => state.length), 1);
    for (const { at, length } of data.timeline.queues) {
      if (!isPainted(x(at) - 2, Math.round(bottoms[0] - 1 - (length / longest) * 32) - 2, 5, 5, "queue")) wrong.push(`no queue of ${length} at ${at} s`);
    }
    const free = data.timeline.phases[0][1] - heat.span;
    if (x(free) > 3 && isPainted(0, bottoms[2] - 5, x(free), 1, "gc")) wrong.push("a mark before the program began");
    return wrong;
  });
  assert.deepEqual(wrong, []);
  assert.deepEqual(problems, []);
});

test("a selected range has its own figures", async () => {
  const chosen = rangeWithCycle();
  const { page, problems } = await open({ fragment: `#range=${chosen.join("-")}` });
  const shown = await table(page);
  const expected = figures(chosen);
  assert.deepEqual(shown.slice(-3).map(([name, , text]) => [name, text]), expected);
  assert.deepEqual(shown.find(([name]) => name === "Phase window").slice(2), ["0.50 s"]);
  assert.deepEqual(shown.find(([name]) => name === "Phase warm-up").slice(2), ["0.00 s"]);
  const status = await page.$eval("#status", (element) => element.textContent);
  assert.ok(status.endsWith(`${chosen[0]} s to ${chosen[1]} s${expected.map(([name, text]) => `; ${name}: ${text}`).join("")}`), status);
  // A range that is selected with the mouse never begins before the first sample.
  await page.$eval("#heat", (canvas) => canvas.scrollIntoView());
  const { x, y, width } = await (await page.$("#heat")).boundingBox();
  await page.mouse.move(x + 1, y + 100);
  await page.mouse.down();
  await page.mouse.move(x + width - 2, y + 100);
  await page.mouse.up();
  const range = await page.evaluate(() => globalThis.page.range);
  assert.equal(range[0], 0);
  assert.deepEqual((await table(page)).slice(-3).map(([name, , text]) => [name, text]), figures(range));
  assert.equal(await page.evaluate(() => globalThis.page.tree.total[0]), await page.evaluate(() => globalThis.page.meta.total));
  // There are no samples in the phases before the window.
  const { first, columns } = await page.evaluate(() => globalThis.page.heat);
  assert.ok(first < 0, "phases before the window are shown");
  await page.mouse.move(x + 1, y + 100);
  await page.mouse.down();
  await page.mouse.move(x + ((-first - 0.5) / columns) * width, y + 100);
  await page.mouse.up();
  assert.equal(await page.evaluate(() => globalThis.page.range), null);
  assert.equal(await page.$eval("#status", (element) => element.textContent), "There are no samples before 0 s, so nothing is selected.");
  await page.click("#whole");
  assert.ok((await table(page)).every((row) => row.length === 2));
  assert.deepEqual(problems, []);
});

test("the report of a time range shows only the events in the range", async () => {
  const [since, until] = rangeWithCycle();
  const run = readdirSync(join(project, ".goflame/runs"))[0];
  execFileSync(goflame, ["report", run, "--from", `${since}`, "--to", `${until}`, "-o", "part.html"], { cwd: project, stdio: "ignore" });
  const { page, problems } = await openPage(browser, join(project, "part.html"));
  await page.waitForFunction(() => document.documentElement.dataset.ready, { timeout: 60_000 });
  const shown = await page.evaluate(() => globalThis.page.data.timeline);
  assert.deepEqual(shown.phases.map(([name]) => name), ["window"]);
  assert.ok(shown.to - shown.from <= until - since + 1e-6, `${shown.from} to ${shown.to}`);
  assert.deepEqual((await table(page)).slice(-3), figures([since, until]));
  assert.deepEqual(problems, []);
});

test("axe finds no violation, in light and dark, wide and narrow", () =>
  assertAccessible("timeline", async (how) => (await open({ ...how, fragment: "#range=0.25-0.75" })).page));
