// Opens exported profiles with the programs that read these formats, and compares their totals with summary.json.
//
//   node --test tests/report/formats.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import Ajv from "ajv";
import { goflame, launch, repository } from "./browser.mjs";

const require = createRequire(import.meta.url);
const speedscope = join(dirname(require.resolve("speedscope/package.json")), "dist/release");
const profilerCli = join(dirname(require.resolve("@firefox-devtools/profiler-cli/package.json")), "dist/profiler-cli.js");

let project;
let summary;

const report = (...args) =>
  execFileSync(goflame, ["report", "latest", "-q", ...args], { cwd: project, maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });

before(() => {
  project = mkdtempSync(join(tmpdir(), "goflame-formats-"));
  cpSync(join(repository, "examples/gcpressure"), project, { recursive: true, filter: (path) => !path.endsWith(".goflame") });
  execFileSync(goflame, ["run", "-q", "-f", "svg", "--", "-duration", "1s", "-workers", "3"], { cwd: project, stdio: "ignore" });
  summary = JSON.parse(report("--json"));
});

after(() => rmSync(project, { recursive: true, force: true }));

const sum = (values) => values.reduce((all, value) => all + value, 0);

test("speedscope's schema describes the file, and speedscope opens it", async () => {
  report("-o", "profile.speedscope.json", "--by", "thread");
  const bytes = readFileSync(join(project, "profile.speedscope.json"));
  const file = JSON.parse(bytes);
  const validate = new Ajv({ strict: false }).compile(JSON.parse(readFileSync(join(speedscope, "file-format-schema.json"))));
  assert.ok(validate(file), JSON.stringify(validate.errors));
  assert.equal(sum(file.profiles.map((profile) => sum(profile.weights))), summary.total);

  const browser = await launch("--allow-file-access-from-files", "--enable-unsafe-swiftshader");
  try {
    const page = await browser.newPage();
    const problems = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("dialog", (dialog) => {
      problems.push(dialog.message());
      dialog.dismiss();
    });
    // The same way as speedscope's own command.
    writeFileSync(join(project, "load.js"), `speedscope.loadFileFromBase64("profile.speedscope.json", "${bytes.toString("base64")}")`);
    await page.goto(`${pathToFileURL(join(speedscope, "index.html"))}#localProfilePath=${join(project, "load.js")}`);
    await page.waitForFunction((title) => document.title === title, { timeout: 60_000 }, `${file.name} - speedscope`);
    assert.ok((await page.$eval("body", (body) => body.innerText)).includes(file.profiles[0].name));
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
  }
});

test("the Firefox Profiler opens the profile", () => {
  report("-o", "profile.firefox.json");
  const file = JSON.parse(readFileSync(join(project, "profile.firefox.json")));
  assert.equal(sum(file.threads.map((thread) => sum(thread.samples.weight))), summary.samples);
  assert.equal(sum(file.threads.map((thread) => sum(thread.samples.threadCPUDelta))), summary.total);
  const environment = { ...process.env, PROFILER_CLI_SESSION_DIR: join(project, "sessions") };
  const cli = (...args) => execFileSync("node", [profilerCli, ...args], { cwd: project, env: environment, encoding: "utf8" });
  cli("load", "profile.firefox.json");
  try {
    const info = JSON.parse(cli("profile", "info", "--json"));
    assert.equal(info.threadCount, file.threads.length);
    let selfSamples = 0;
    for (const [at, thread] of file.threads.entries()) {
      cli("thread", "select", `t-${at}`);
      const functions = JSON.parse(cli("thread", "functions", "--include-idle", "--limit", "0", "--json")).functions;
      const own = sum(functions.map((row) => row.selfSamples));
      assert.equal(own, sum(thread.samples.weight), thread.name);
      selfSamples += own;
    }
    assert.equal(selfSamples, summary.samples);
  } finally {
    cli("stop", "--all");
  }
});
