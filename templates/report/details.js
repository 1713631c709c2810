// @ts-check
// Sections of the page below the pictures: the source lines of a function, and the hottest call paths.
"use strict";

/** Maximum number of listed hot paths. */
const MAX_HOT_PATHS = 12;

/** A line is marked if it has at least this share of the heaviest line's cumulative weight. */
const HOT_LINE_SHARE = 0.2;

/**
 * Shows the source of one function at a time.
 */
class SourceView {
  /**
   * @param {any[]} sources  see `SourceEntry` in src/render/html/data.rs
   * @param {(weight: number) => string} format
   */
  constructor(sources, format) {
    this.sources = sources;
    this.format = format;
    this.choice = byId("source-of", HTMLSelectElement);
    byId("source", HTMLElement).hidden = sources.length === 0;
    byId("no-source", HTMLElement).hidden = sources.length > 0;
    this.choice.append(...sources.map((one, at) => option(String(at), one.function)));
    this.choice.addEventListener("change", () => this.draw());
    this.draw();
  }

  /** @param {string} name */
  has(name) {
    return this.sources.some((one) => one.function === name);
  }

  /**
   * Shows the source of a function, if the page has it.
   * @param {string} name
   */
  show(name) {
    const at = this.sources.findIndex((one) => one.function === name);
    if (at < 0 || this.choice.value === String(at)) return;
    this.choice.value = String(at);
    this.draw();
  }

  /**
   * Shows the weights of another event.
   * @param {[number, number][][]} weights  by function and line: self and cumulative
   */
  weigh(weights) {
    this.sources.forEach((source, at) => {
      source.lines = source.lines.map((/** @type {any[]} */ [number, text], /** @type {number} */ line) => [number, text, ...weights[at][line]]);
    });
    this.draw();
  }

  draw() {
    const source = this.sources[Number(this.choice.value)];
    if (!source) return;
    byId("source-place", HTMLElement).textContent = source.file;
    const doubt = byId("source-doubt", HTMLElement);
    doubt.textContent = source.doubt ? `Take care: ${source.doubt}.` : "";
    doubt.hidden = !source.doubt;
    const most = Math.max(...source.lines.map((/** @type {any[]} */ [, , , cumulative]) => cumulative));
    /** @type {HTMLElement[]} */
    const rows = [];
    let last = 0;
    for (const [number, text, self, cumulative] of source.lines) {
      if (last > 0 && number > last + 1) rows.push(row([element("td", ""), element("td", ""), element("td", "…", "number"), element("td", "")]));
      last = number;
      const code = element("td", "", "code");
      code.append(element("code", text ?? "unknown line"));
      const line = row([
        element("td", self > 0 ? this.format(self) : "", "number"),
        element("td", cumulative > 0 ? this.format(cumulative) : "", "number"),
        element("td", number > 0 ? String(number) : "?", "number"),
        code,
      ]);
      if (cumulative > 0) line.className = cumulative >= most * HOT_LINE_SHARE ? "hot" : "warm";
      rows.push(line);
    }
    document.querySelector("#source tbody")?.replaceChildren(...rows);
  }
}

/**
 * Lists the call paths with the most self weight.
 * @param {Tree} tree
 * @param {(weight: number) => string} format
 * @param {(node: number) => void} onChoose
 */
function fillHotPaths(tree, format, onChoose) {
  // Trees are large and the list is short, so the nodes are not sorted.
  /** @type {number[]} */
  const nodes = [];
  for (let node = 1; node < tree.label.length; node++) {
    if (tree.label[node] < 0 || !(tree.self[node] > 0)) continue;
    if (nodes.length === MAX_HOT_PATHS && tree.self[node] <= tree.self[nodes[MAX_HOT_PATHS - 1]]) continue;
    const at = nodes.findIndex((other) => tree.self[other] < tree.self[node]);
    nodes.splice(at < 0 ? nodes.length : at, 0, node);
    nodes.length = Math.min(nodes.length, MAX_HOT_PATHS);
  }
  const items = nodes.map((node) => {
    const item = element("li", "");
    const names = pathOf(tree, node);
    const leaf = document.createElement("button");
    leaf.type = "button";
    leaf.textContent = names[names.length - 1];
    leaf.addEventListener("click", () => onChoose(node));
    const callers = element("span", names.slice(0, -1).reverse().map((name) => `← ${name}`).join(" "), "callers");
    item.append(element("span", format(tree.self[node]), "share"), " ", leaf, " ", callers);
    return item;
  });
  byId("hot-paths", HTMLElement).replaceChildren(...items);
}
