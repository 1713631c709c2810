// Compares the speed of report.html for a large profile with other pages of the same profile in the same browser.
//
//   node benches/page/bench.mjs [ROUNDS]
//
// The environment variables GOFLAME and CHROMIUM name another binary than target/release/goflame and another browser.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { launch, repository } from "../../tests/report/browser.mjs";
import { interact, watchOpening } from "./measure.mjs";
import { names, nested, syntheticTree, writeFolded } from "./synthetic.mjs";

const NODES = 100_000;
const STACKS = 87_000;
/** Maximum figures of report.html. `file` and `heap` are in bytes, the others in milliseconds. */
const LIMITS = { opens: 1000, zoom: 50, search: 100, file: 1_000_000, heap: 50_000_000 };

const rounds = Number(process.argv[2] ?? 5);
const goflame = process.env.GOFLAME ?? join(repository, "target/release/goflame");
const modules = join(repository, "tests/report/node_modules");
const scratch = mkdtempSync(join(tmpdir(), "goflame-page-"));
const file = (name) => join(scratch, name);

/** Writes the pages. Returns the address and the size of each. */
function makePages() {
  const tree = syntheticTree(NODES, STACKS);
  const stacks = writeFolded(tree, file("stacks.folded"));
  console.log(`${tree.depth.length} nodes, ${stacks} stacks, ${Math.round(tree.depth.reduce((sum, depth) => sum + depth, 0) / NODES)} deep on average, at most ${Math.max(...tree.depth) + 1}`);
  const report = (name) => execFileSync(goflame, ["report", "-q", file("stacks.folded"), "-o", file(name)], { stdio: "ignore" });
  report("report.html");
  report("profile.speedscope.json");

  const boxes = { names: ["app", ...names], depth: [0, ...tree.depth.map((depth) => depth + 1)], functions: [0, ...tree.function.map((one) => one + 1)], self: [0, ...tree.self] };
  const canvas = readFileSync(join(repository, "benches/page/canvas.html"), "utf8");
  writeFileSync(file("canvas.html"), canvas.replace("{data}", gzipSync(JSON.stringify(boxes), { level: 9 }).toString("base64")));

  const script = (path) => `<script>${readFileSync(join(modules, path), "utf8").replaceAll("</script", "<\\/script")}</script>`;
  writeFileSync(
    file("d3.html"),
    `<!doctype html><meta charset="utf-8"><div id="chart"></div>${script("d3-selection/dist/d3-selection.min.js")}${script("d3-flame-graph/dist/d3-flamegraph.min.js")}
<script>var chart = flamegraph().width(1200).transitionDuration(0);
d3.select("#chart").datum(${JSON.stringify(nested(tree))}).call(chart);
document.documentElement.dataset.ready = "1";</script>`,
  );

  // The command `speedscope FILE` passes the profile to the page in the same way.
  const profile = readFileSync(file("profile.speedscope.json")).toString("base64");
  writeFileSync(file("speedscope.js"), `speedscope.loadFileFromBase64("profile.speedscope.json", "${profile}")`);
  const speedscope = join(modules, "speedscope/dist/release/index.html");

  const page = (name) => ({ address: pathToFileURL(file(name)).href, bytes: statSync(file(name)).size });
  return {
    "goflame, report.html": page("report.html"),
    "plain canvas": page("canvas.html"),
    speedscope: { address: `${pathToFileURL(speedscope).href}#localProfilePath=${file("speedscope.js")}`, bytes: statSync(file("profile.speedscope.json")).size },
    "d3-flame-graph": page("d3.html"),
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

async function measurePage(browser, { address }) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`${address}: ${error}`));
  await page.setViewport({ width: 1280, height: 900 });
  await page.evaluateOnNewDocument(watchOpening);
  await page.goto(address, { timeout: 180_000, waitUntil: "domcontentloaded" });
  await page.waitForFunction(() => globalThis.opened, { timeout: 180_000, polling: 50 });
  const opens = await page.evaluate(() => globalThis.opened);
  const { zoom = [], search = [] } = await page.evaluate(interact);
  const client = await page.createCDPSession();
  await client.send("HeapProfiler.collectGarbage");
  const heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
  await page.close();
  return { opens, zoom: zoom.length ? median(zoom) : NaN, slowestZoom: Math.max(...zoom), search: search.length ? median(search) : NaN, slowestSearch: Math.max(...search), heap };
}

function printFigures(figures, pages) {
  const reference = figures["plain canvas"];
  const milliseconds = (value) => (Number.isFinite(value) ? `${value.toFixed(value < 100 ? 1 : 0)} ms` : "-");
  const megabytes = (value) => `${(value / 1e6).toFixed(2)} MB`;
  const rows = Object.entries(figures).map(([way, { opens, zoom, search, heap }]) => {
    const ratio = (own, other) => (Number.isFinite(own / other) ? ` (${(own / other).toFixed(2)})` : "");
    return {
      way,
      "opens in": milliseconds(opens) + ratio(opens, reference.opens),
      zoom: milliseconds(zoom) + ratio(zoom, reference.zoom),
      search: milliseconds(search) + ratio(search, reference.search),
      file: megabytes(pages[way].bytes) + ratio(pages[way].bytes, pages["plain canvas"].bytes),
      heap: megabytes(heap) + ratio(heap, reference.heap),
    };
  });
  console.table(rows);
  const own = { ...figures["goflame, report.html"], file: pages["goflame, report.html"].bytes };
  for (const [what, limit] of Object.entries(LIMITS)) {
    console.log(`${what}: ${Math.round(own[what])} of at most ${limit}${own[what] > limit ? ": OVER THE LIMIT" : ""}`);
  }
  console.log(`slowest zoom ${milliseconds(own.slowestZoom)}, slowest search ${milliseconds(own.slowestSearch)}`);
}

try {
  const pages = makePages();
  const results = Object.fromEntries(Object.keys(pages).map((way) => [way, []]));
  console.log(`${rounds} rounds, load of the machine ${loadavg()[0].toFixed(1)}`);
  for (let round = 0; round < rounds; round++) {
    for (const way of Object.keys(pages)) {
      // Each page gets a new browser, because compiled code of an earlier page would make it faster.
      const browser = await launch("--enable-precise-memory-info", "--allow-file-access-from-files", "--force-color-profile=srgb");
      results[way].push(await measurePage(browser, pages[way]));
      await browser.close();
    }
  }
  console.log(`medians, in brackets as ratios to the plain canvas; load of the machine now ${loadavg()[0].toFixed(1)}`);
  const figure = (list, name) => median(list.map((one) => one[name]));
  const medians = Object.entries(results).map(([way, list]) => [way, Object.fromEntries(Object.keys(list[0]).map((name) => [name, figure(list, name)]))]);
  printFigures(Object.fromEntries(medians), pages);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
