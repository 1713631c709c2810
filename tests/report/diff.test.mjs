// Opens the page of a comparison in Chromium: figures, colours, widths, zoom, search, keyboard, hostile names.
//
//   node --test tests/report/diff.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertAccessible, goflame, launchForPictures, openPage, profile, repository } from "./browser.mjs";

let browser;
let dir;

const OLD = [
  { stack: ["main.main", "main.parse"], count: 5_000 },
  { stack: ["main.main", "main.rank"], count: 3_000 },
  { stack: ["main.main", "main.old", "main.helper"], count: 1_000 },
  { stack: ["main.main", "main.same"], count: 1_000 },
];
const NEW = [
  { stack: ["main.main", "main.parse"], count: 4_000 },
  { stack: ["main.main", "main.rank"], count: 4_500 },
  { stack: ["main.main", "main.added"], count: 1_400 },
  { stack: ["main.main", "main.same"], count: 1_100 },
];

const EVIL = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "]]>\u0007\u001b[31m", "a\u202eb", "'\"&amp;", "x".repeat(10_000), "__proto__"];

/** Runs `goflame diff` in the directory of the tests. */
const diff = (...args) => execFileSync(goflame, ["diff", "-q", ...args], { cwd: dir, maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "goflame-diff-"));
  writeFileSync(join(dir, "old.pb.gz"), profile(OLD));
  writeFileSync(join(dir, "new.pb.gz"), profile(NEW));
  diff("old.pb.gz", "new.pb.gz", "-o", "diff.html");
  browser = await launchForPictures();
});

after(async () => {
  await browser?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Opens a page of a comparison. */
async function open(how = {}, file = "diff.html") {
  const { page, problems } = await openPage(browser, join(dir, file), how);
  await page.waitForFunction(() => document.documentElement.dataset.ready, { timeout: 60_000 });
  return { page, problems };
}

const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
const cells = (page, selector) => page.$$eval(`${selector} tbody tr`, (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
const percent = (share) => (share === 0 ? "0" : `${(share * 100).toFixed(1)} %`);
const points = (share) => `${share < 0 ? "−" : "+"}${Math.abs(share * 100).toFixed(2)}`;

/** Returns the index of a frame, its position on the screen, and its colour as red, green and blue. */
const frame = (page, name) =>
  page.evaluate(async (name) => {
    const { graph } = globalThis.page;
    graph.drawNow();
    const { label, labels, depth } = graph.tree;
    const node = label.findIndex((one) => one >= 0 && labels[one] === name);
    if (node < 0) return null;
    const { left, width } = graph.box(node);
    const area = graph.canvas.getBoundingClientRect();
    const [x, y] = [(left + width) * area.width - 3, (depth[node] + 0.5) * 20 - graph.scroller.scrollTop];
    const [red, green, blue] = graph.context.getImageData(x, y, 1, 1).data;
    return { node, x: area.left + x, y: area.top + y, colour: [red, green, blue], width };
  }, name);

test("figures, order and verdicts equal those of goflame diff --json", async () => {
  const { page, problems } = await open();
  const expected = JSON.parse(diff("old.pb.gz", "new.pb.gz", "--json"));
  assert.equal(await text(page, "#verdict"), expected.summary);
  const figures = ({ old, new: after, change, low, high, verdict }) => {
    const margin = change > 0 ? change - low : high - change;
    const number = `${verdict === "unclear" ? "~ " : ""}${points(change)} ± ${(margin * 100).toFixed(2)}`;
    return [`${percent(old)} → ${percent(after)}`, old === 0 && after === 0 ? "" : number];
  };
  const rows = expected.functions.map((one) => {
    const verdict = one.self.verdict === "unclear" ? one.cumulative.verdict : one.self.verdict;
    return [verdict === "unclear" ? "" : verdict, one.name, ...figures(one.self), ...figures(one.cumulative)];
  });
  assert.deepEqual((await cells(page, "#functions")).map((row) => row.slice(0, 6)), rows);
  assert.deepEqual(new Set(rows.map((row) => row[0])), new Set(["grew", "shrank", "new", "gone", ""]));
  const cumulative = JSON.parse(diff("old.pb.gz", "new.pb.gz", "--json", "--sort", "cum")).functions.map((one) => one.name);
  await page.click("#functions button[data-sort=cumulative]");
  assert.deepEqual((await cells(page, "#functions")).map((row) => row[1]), cumulative);
  assert.deepEqual(problems, []);
});

test("a frame has the colour of its verdict, and shows old and new value, change and interval", async () => {
  const { page, problems } = await open();
  const { functions } = JSON.parse(diff("old.pb.gz", "new.pb.gz", "--json"));
  const colours = {
    "main.rank": (red, green, blue) => red > blue + 20 && red > green + 20,
    "main.parse": (red, green, blue) => blue > red + 20,
    "main.added": (red, green, blue) => red > blue + 60 && green > blue + 60,
    "main.same": (red, green, blue) => red === green && green === blue,
    "main.main": (red, green, blue) => red === green && green === blue,
  };
  for (const [name, test] of Object.entries(colours)) {
    const { colour, x, y } = await frame(page, name);
    assert.ok(test(...colour), `${name}: ${colour}`);
    await page.mouse.move(x, y);
    const { cumulative: change } = functions.find((one) => one.name === name);
    const shown = await text(page, "#selected");
    const start = `${name} · old ${percent(change.old)} → new ${percent(change.new)}: ${points(change.change)} percentage points (`;
    assert.ok(shown.startsWith(start), `${shown}\n${start}`);
    assert.ok(shown.includes(change.verdict === "unclear" ? "no change beyond chance" : `, ${change.verdict} ·`), shown);
    assert.ok(shown.includes(`${change.old_samples.toLocaleString("en")} → ${change.new_samples.toLocaleString("en")} samples`), shown);
  }
  assert.equal(await frame(page, "main.old"), null);
  // The flame graph of the same comparison gives the same verdicts, with the same figures.
  const svg = String(diff("old.pb.gz", "new.pb.gz", "-f", "svg"));
  const said = await page.evaluate(() => {
    const { shown, nodes, names } = globalThis.page;
    return [...shown.label.keys()].slice(1).map((node) => [names[shown.label[node]], nodes.verdict(shown.source[node])]);
  });
  assert.equal(said.length, 5);
  for (const [name, verdict] of said) {
    const [title] = svg.match(new RegExp(`<title>${name.replace(".", "\\.")}.*?</title>`, "s"));
    assert.ok(title.includes(verdict === "unclear" ? "no change beyond chance" : `, ${verdict};`), title);
  }
  assert.deepEqual(problems, []);
});

test("widths are weights of the chosen profile, and the old one contains the gone functions", async () => {
  const { page, problems } = await open();
  const width = async (name) => (await frame(page, name)).width.toFixed(4);
  assert.equal(await width("main.rank"), (4_500 / 11_000).toFixed(4));
  await page.select("#width", "old");
  assert.equal(await width("main.rank"), (3_000 / 10_000).toFixed(4));
  const { colour } = await frame(page, "main.old");
  assert.ok(colour[2] > colour[0] + 20, `${colour}`);
  assert.equal(await frame(page, "main.added"), null);
  assert.match(await page.evaluate(() => location.hash), /^#width=old$/);
  const { page: other } = await open({ fragment: "#width=old" });
  assert.equal(await width("main.rank"), ((await frame(other, "main.rank")).width).toFixed(4));
  // A browser does not draw a page in the background, so this page must be in front again.
  await other.close();

  // A name in the list of gone functions selects the profile in which the function has a width.
  await page.select("#width", "new");
  const gone = await page.$$eval("#gone li", (items) => items.map((item) => item.textContent));
  assert.deepEqual(gone, ["10.0 % main.helper", "10.0 % main.old"]);
  await page.click("#gone button");
  assert.equal(await page.$eval("#width", (select) => select.value), "old");
  assert.match(await text(page, "#status"), /main\.helper: old 10\.0 % → new 0: −10\.00 percentage points \(.*\), gone/);
  assert.deepEqual(problems, []);
  diff("old.pb.gz", "new.pb.gz", "--width", "old", "-o", "wide.html");
  const { page: wide } = await open({}, "wide.html");
  assert.equal(await wide.$eval("#width", (select) => select.value), "old");
  assert.equal(await wide.evaluate(() => location.hash), "");
});

test("click, search and keyboard work as in a report", async () => {
  const { page, problems } = await open();
  const at = await frame(page, "main.rank");
  await page.mouse.click(at.x, at.y);
  assert.equal(await page.evaluate(() => globalThis.page.graph.zoomed), at.node);
  assert.match(await page.evaluate(() => location.hash), /zoom=main\.main&zoom=main\.rank$/);
  await page.focus("#frames");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Home");
  assert.match(await text(page, "#selected"), /^all · old 100\.0 % → new 100\.0 % · 10,000 → 11,000 samples$/);
  await page.keyboard.press("ArrowDown");
  assert.match(await text(page, "#selected"), /^main\.main · /);
  await page.type("#search", "main\\.(rank|same)");
  assert.match(await text(page, "#status"), /matches 2 functions, on the stack in old 40\.0 %, new 50\.9 %$/);
  await page.focus("#tree li");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  assert.match(await focused(), /^30\.0 % → 40\.9 % main\.rank, grew \+10\.91$/);
  await page.type("#filter", "parse");
  assert.deepEqual((await cells(page, "#functions")).map((row) => row[1]), ["main.parse"]);
  assert.deepEqual(problems, []);
});

test("a search counts each sample once for all matching functions, however narrow their callers are", async () => {
  const callers = (callees) => Array.from({ length: 3_000 }, (_, at) => ({ stack: ["main.main", `main.f${at}`, "runtime.mallocgc", ...callees] }));
  const others = (count) => ["main.a", "runtime.memmove"].map((name) => ({ stack: ["main.main", name], count }));
  writeFileSync(join(dir, "narrow-old.pb.gz"), profile([...callers([]), ...others(1_500)]));
  writeFileSync(join(dir, "narrow-new.pb.gz"), profile([...callers(["runtime.memmove"]), ...others(500)]));
  diff("narrow-old.pb.gz", "narrow-new.pb.gz", "-o", "narrow.html");
  const { page, problems } = await open({}, "narrow.html");
  const search = async (pattern) => {
    await page.$eval("#search", (input) => (input.value = ""));
    await page.type("#search", pattern);
    return text(page, "#status");
  };
  assert.match(await search("runtime.mall"), /runtime\.mallocgc: old 50\.0 % → new 75\.0 %: /);
  assert.match(await search("runtime\\."), / matches 2 functions, on the stack in old 75\.0 %, new 87\.5 %$/);
  assert.match(await search("main\\.f"), / matches 3000 functions, on the stack in old 50\.0 %, new 75\.0 %$/);
  assert.match(await search("main\\."), / matches 3002 functions, on the stack in old 100\.0 %, new 100\.0 %$/);
  assert.match(await search("nothing"), / matches no function$/);
  assert.deepEqual(problems, []);
});

test("functions without weight are not found", async () => {
  diff("old.pb.gz", "new.pb.gz", "--focus", "main.rank", "-o", "focus.html");
  const { page, problems } = await open({}, "focus.html");
  assert.deepEqual((await cells(page, "#functions")).map((row) => row[1]).sort(), ["main.main", "main.rank"]);
  await page.type("#search", "main\\.(added|rank)");
  assert.match(await text(page, "#status"), /” main\.rank: old /);
  assert.deepEqual(problems, []);
});

test("a click on a function marks only this function, until the search is edited", async () => {
  const samples = (counts) => ["main.parse", "main.Parse", "main.rest"].map((name, at) => ({ stack: ["main.main", name], count: counts[at] }));
  writeFileSync(join(dir, "case-old.pb.gz"), profile(samples([4_000, 1_000, 5_000])));
  writeFileSync(join(dir, "case-new.pb.gz"), profile(samples([1_000, 4_000, 5_000])));
  diff("case-old.pb.gz", "case-new.pb.gz", "-o", "case.html");
  const { page, problems } = await open({}, "case.html");
  for (const button of await page.$$("#functions td button")) {
    const name = await button.evaluate((one) => one.textContent);
    await button.click();
    const marked = await page.evaluate(() => {
      const { graph, names } = globalThis.page;
      return names.filter((_, at) => graph.matches[at] === 1);
    });
    assert.deepEqual(marked, [name]);
    assert.ok((await text(page, "#status")).includes(` ${name}: old `));
  }
  await page.$eval("#search", (input) => (input.value = ""));
  await page.type("#search", "^main\\.parse$");
  assert.match(await text(page, "#status"), / matches 2 functions, on the stack in old 50\.0 %, new 50\.0 %$/);
  assert.deepEqual(problems, []);
});

test("differences of times have the sign and the relative change, as in the terminal's table", async () => {
  for (const normalize of [["--normalize", "time"], ["--units", "1000000,1100000"]]) {
    diff("old.pb.gz", "new.pb.gz", ...normalize, "-o", "time.html");
    const table = String(diff("old.pb.gz", "new.pb.gz", ...normalize, "-n", "100")).split("\n");
    const { page, problems } = await open({}, "time.html");
    const rows = await cells(page, "#functions");
    assert.equal(rows.length, 7);
    for (const [, name, , self, , cumulative] of rows) {
      const line = table.find((line) => line.endsWith(`  ${name}`));
      for (const change of [self, cumulative]) assert.ok(line.includes(change), `${line}\n${change}`);
    }
    const shrank = rows.find((row) => row[1] === "main.parse");
    assert.match(shrank[3], /^−\d+\.\d\d ± \d+\.\d\d, −\d+ %$/);
    const { x, y } = await frame(page, "main.parse");
    await page.mouse.move(x, y);
    assert.match(await text(page, "#selected"), /: −\d+\.\d\d .*\(−.* to −.*\), −\d+ %, shrank · /);
    assert.deepEqual(problems, []);
    await page.close();
  }
  // A difference that is rounded to 0 keeps its sign.
  assert.deepEqual(await (await open()).page.evaluate(() => [-1e-9, 0, 1e-9].map((value) => globalThis.page.formatDifference(value))), ["−0.00", "+0.00", "+0.00"]);
});

test("the head describes both runs", async () => {
  cpSync(join(repository, "tests/workloads/burner"), join(dir, "burner"), { recursive: true });
  cpSync(join(repository, "tests/workloads/go.mod"), join(dir, "go.mod"));
  writeFileSync(join(dir, "goflame.toml"), 'app.package = "./burner"\n');
  for (const variant of ["release", "debug"]) execFileSync(goflame, ["run", "-q", "--variant", variant, "-f", "svg"], { cwd: dir, stdio: "ignore" });
  diff("--variants", "-o", "variants.html");
  const { page, problems } = await open({}, "variants.html");
  assert.deepEqual(await page.$$eval("#about thead th", (cells) => cells.map((cell) => cell.textContent)), ["Fact", "Release", "Debug"]);
  const facts = new Map((await cells(page, "#about")).map(([name, ...values]) => [name, values]));
  for (const name of ["Profile", "Program", "Started", "Built with", "Machine", "Sampled"]) assert.ok(facts.has(name), name);
  assert.match(facts.get("Built with")[0], /variant release/);
  assert.match(facts.get("Built with")[1], /variant debug, -gcflags .*-N -l/);
  assert.match(await text(page, "#work"), /^CPU time: [\d.]+ m?s in release, [\d.]+ m?s in debug$/);
  assert.ok(!(await text(page, "#verdict")).includes("total"), "the line of the work tells the time");
  assert.ok(await page.evaluate(() => (document.querySelector("#only").compareDocumentPosition(document.querySelector("#graph")) & Node.DOCUMENT_POSITION_FOLLOWING) > 0));
  const differing = await page.$$eval("#about tr.differs th", (cells) => cells.map((cell) => cell.textContent));
  assert.ok(differing.includes("Built with"), `${differing}`);
  assert.ok(!differing.includes("Profile") && !differing.includes("Started"), `${differing}`);
  assert.match(await text(page, "#explanation"), /^Figures: shares of all samples in percent/);
  assert.deepEqual(problems, []);
});

test("axe finds no violation, in light and dark, wide and narrow", () =>
  assertAccessible("diff", async (how) => {
    const { page } = await open(how);
    await page.click("#about summary");
    return page;
  }));

test("hostile names do nothing", async () => {
  const samples = (factor) => EVIL.map((name, at) => ({ stack: ["main", name], count: 1_000 + at * factor }));
  writeFileSync(join(dir, "evil-old.pb.gz"), profile(samples(10)));
  writeFileSync(join(dir, "evil-new.pb.gz"), profile(samples(900).slice(1)));
  diff("evil-old.pb.gz", "evil-new.pb.gz", "-o", "evil.html", "--title", "<b>&</title><script>alert(2)</script>");
  const { page, problems } = await open({}, "evil.html");
  assert.equal(await text(page, "h1"), "<b>&</title><script>alert(2)</script>");
  const names = (await cells(page, "#functions")).map((row) => row[1]);
  assert.equal(names.length, EVIL.length + 1);
  for (const name of EVIL.filter((name) => name.length < 100 && !/[\u0007\u202e]/.test(name))) assert.ok(names.includes(name), name.slice(0, 50));
  assert.ok(!names.some((name) => /[\u0000-\u001f\u202e]/.test(name)));
  assert.match(await text(page, "#gone"), /<\/script><script>alert\(1\)<\/script>/);
  await page.type("#search", "proto");
  assert.match(await text(page, "#status"), /^“proto” __proto__: old /);
  for (const button of await page.$$("#gone button, #functions td button")) await button.evaluate((one) => one.click());
  assert.deepEqual(problems, []);
});
