// @ts-check
// The page of a comparison: the call tree of two profiles, coloured by its changes, and the functions sorted by their changes.
"use strict";

/**
 * The changes of a list of figures, in columns.
 */
class Changes {
  /**
   * @param {any} meta
   * @param {Record<string, Float64Array>} columns
   * @param {string} name  of the list
   */
  constructor(meta, columns, name) {
    this.meta = meta;
    const column = (/** @type {string} */ part) => columns[`${name} ${part}`];
    this.weights = [column("old"), column("new")];
    this.samples = [column("old samples"), column("new samples")];
    this.below = column("below");
    this.above = column("above");
    this.verdicts = column("verdict");
  }

  /** @param {number} at */
  verdict(at) {
    return /** @type {string} */ (this.meta.verdicts[this.verdicts[at]]);
  }

  /**
   * Returns the comparable values of both profiles.
   * @param {number} at
   */
  values(at) {
    return this.weights.map((weights, side) => weights[at] * this.meta.factors[side]);
  }

  /**
   * Returns the difference and the bounds of its interval.
   * @param {number} at
   */
  difference(at) {
    const [before, after] = this.values(at);
    const value = after - before;
    return { value, low: value - this.below[at] * this.meta.step, high: value + this.above[at] * this.meta.step };
  }

  /** @param {number} at */
  isClear(at) {
    return this.verdict(at) !== "unclear";
  }
}

/** Facts that differ between any two runs, so a difference is not marked. */
const ALWAYS_DIFFER = ["Profile", "Started"];

class DiffPage {
  /** @param {{ meta: any, columns: Record<string, Float64Array> }} data */
  constructor({ meta, columns }) {
    this.meta = meta;
    this.parents = columns.parent;
    this.functions = columns.function;
    this.nodes = new Changes(meta, columns, "node");
    this.self = new Changes(meta, columns, "self");
    this.cumulative = new Changes(meta, columns, "cumulative");
    /** @type {string[]} */
    this.names = meta.functions.map((/** @type {any} */ one) => one.name);
    // By profile: its call paths, in depth-first order.
    this.paths = ["old", "new"].map((side) => {
      return { depths: columns[`${side} depth`], functions: columns[`${side} function`], self: columns[`${side} self`] };
    });
    this.view = byId("view", HTMLSelectElement);
    this.width = byId("width", HTMLSelectElement);
    this.search = byId("search", HTMLInputElement);
    this.filter = byId("filter", HTMLInputElement);
    this.controls = [this.view, this.width, this.search];
    this.status = byId("status", HTMLElement);
    this.sort = "self";
    this.all = false;
    /** The function that a button chose, or -1. Editing the search sets it to -1. */
    this.chosen = -1;
    /** @type {string[]} Names from the root to the zoomed node. */
    this.zoomed = [];
    this.trees = [0, 1].map((side) => this.treeOf(side));
    this.shown = this.trees[1];
    const paint = (/** @type {(name: string) => string} */ color) => {
      const colors = new DiffColors(color);
      return (/** @type {Tree} */ tree, /** @type {number} */ node) => colors.colorOf(this.nodes, tree.source[node]);
    };
    this.graph = new FlameGraph(byId("frames", HTMLElement), paint);
    this.textTree = new TextTree(byId("tree", HTMLElement), (node) => this.describe(node));
    this.fillHeader();
    this.fillLists();
    this.fillLegend();
    this.listen();
    this.readFragment();
    this.redraw();
    this.fillFunctions();
  }

  /**
   * Returns the call tree with the widths of one profile.
   * @param {number} side
   */
  treeOf(side) {
    const weights = this.nodes.weights[side];
    const nodes = new Nodes();
    nodes.self[0] = weights[0];
    for (let at = 1; at < weights.length; at++) {
      const parent = at - this.parents[at];
      nodes.add(parent, this.functions[at] - 1);
      nodes.self[at] = weights[at];
      nodes.self[parent] -= weights[at];
    }
    return nodes.toTree(this.names, this.names.map((_, label) => label));
  }

  fillHeader() {
    const { meta } = this;
    byId("verdict", HTMLElement).textContent = meta.summary;
    byId("explanation", HTMLElement).textContent = `Figures: ${meta.explanation}.`;
    const work = byId("work", HTMLElement);
    work.textContent = meta.work;
    work.hidden = !meta.work;
    byId("notes", HTMLElement).append(...meta.notes.map((/** @type {string} */ text) => element("li", text)));
    document.querySelectorAll("#about thead th").forEach((cell, at) => {
      if (at > 0) cell.textContent = capital(meta.labels[at - 1]);
    });
    const facts = meta.facts.map((/** @type {[string, [string, string]]} */ [name, values]) => {
      const head = element("th", name);
      head.setAttribute("scope", "row");
      const made = row([head, ...values.map((value) => element("td", value || "unknown"))]);
      if (values[0] !== values[1] && !ALWAYS_DIFFER.includes(name)) made.className = "differs";
      return made;
    });
    document.querySelector("#about tbody")?.append(...facts);
    const widths = ["old", "new"].map((value, side) => option(value, `${meta.labels[side]}: ${["shows what is gone", "shows what is new"][side]}`));
    widths[meta.width].defaultSelected = true;
    this.width.append(...widths);
    for (const [at, cell] of document.querySelectorAll("#functions th.values").entries()) {
      cell.textContent = `${["Self", "Cum"][at]} ${meta.labels.join(" → ")}`;
    }
  }

  fillLists() {
    const { meta, cumulative } = this;
    const before = (/** @type {number} */ at) => cumulative.values(at)[0];
    const gone = this.names.map((_, at) => at).filter((at) => cumulative.verdict(at) === "gone");
    gone.sort((a, b) => before(b) - before(a));
    this.fillList("gone", gone.map((at) => [this.formatValue(before(at)), this.functionButton(at)]));
    this.fillList("renamed", meta.renamed.map((/** @type {string[]} */ names) => ["", document.createTextNode(names.join(" → "))]));
    byId("only-heading", HTMLElement).textContent = meta.only_heading;
    this.fillList("only", meta.only.map((/** @type {any} */ one) => [one.shares, this.functionButton(one.function), ` ${one.reason}`]));
  }

  /**
   * @param {string} id
   * @param {[string, Node, string?][]} lines
   */
  fillList(id, lines) {
    byId(id, HTMLElement).hidden = lines.length === 0;
    const items = lines.map(([share, name, more = ""]) => {
      const item = element("li", "");
      if (share) item.append(element("span", share, "share"), " ");
      item.append(name, more);
      return item;
    });
    document.querySelector(`#${id} ul`)?.append(...items);
  }

  fillLegend() {
    const { meta } = this;
    const texts = [
      ["grew", `grew: the frame with all that it calls; the deeper, the more`],
      ["shrank", "shrank or gone"],
      ["new", `new: not in ${meta.labels[0]}`],
      ["unclear", meta.unclear],
    ];
    byId("legend", HTMLElement).append(...texts.map(([verdict, text]) => legendItem(verdict, text)));
  }

  listen() {
    for (const input of [this.view, this.width]) {
      input.addEventListener("change", () => {
        this.redraw();
        this.writeFragment();
      });
    }
    this.search.addEventListener("input", () => {
      this.chosen = -1;
      this.mark();
      this.writeFragment();
    });
    listenToSharedControls(this);
    this.graph.onSelect = (node) => (byId("selected", HTMLElement).textContent = this.details(node));
    this.graph.onZoom = (node) => {
      this.zoomed = pathOf(this.shown, node);
      this.writeFragment();
    };
    this.graph.scroller.addEventListener("keydown", (event) => {
      if (event.key === "c" && !event.ctrlKey && !event.metaKey && !event.altKey) copyStack(this.shown, this.graph.selected, this.status);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.graph.draw());
  }

  redraw() {
    this.shown = this.trees[this.width.value === "old" ? 0 : 1];
    this.graph.show(this.shown, this.view.value === "flame");
    const zoomed = Math.max(findPath(this.shown, this.zoomed), 0);
    this.graph.zoomed = zoomed;
    this.graph.selected = zoomed;
    byId("selected", HTMLElement).textContent = this.details(zoomed);
    this.textTree.show(this.shown);
    this.mark();
  }

  /** Marks the frames that the search finds, and shows their change. */
  mark() {
    const text = this.search.value;
    const pattern = parsePattern(text);
    const found = text ? this.names.map((name, at) => (this.chosen < 0 ? pattern(name) : at === this.chosen)) : null;
    const [before, after] = this.nodes.values(0).map((value) => this.formatValue(value));
    const labels = this.meta.labels;
    this.status.textContent = `${labels[0]} ${before}, ${labels[1]} ${after}`;
    if (found) {
      const only = found.indexOf(true);
      const result = only >= 0 && found.indexOf(true, only + 1) < 0 ? `${this.names[only]}: ${this.describeChange(this.cumulative, only)}` : this.describeMatches(found);
      this.status.textContent = `“${text}” ${result}`;
    }
    this.graph.matches = found && Uint8Array.from(found, Number);
    this.graph.draw();
  }

  /**
   * Describes the weight of all samples with at least one of the found functions on their stack.
   * @param {boolean[]} found  by function
   */
  describeMatches(found) {
    const count = found.filter(Boolean).length;
    if (count === 0) return "matches no function";
    const { labels, factors } = this.meta;
    const sums = this.paths.map(({ depths, functions, self }, side) => {
      let sum = 0;
      // The depth of the current path that matches, or Infinity. Its callees are deeper.
      let within = Infinity;
      for (let path = 0; path < depths.length; path++) {
        if (depths[path] <= within) within = found[functions[path] - 1] ? depths[path] : Infinity;
        if (within < Infinity) sum += self[path];
      }
      return sum * factors[side];
    });
    return `matches ${count} functions, on the stack in ${labels[0]} ${this.formatValue(sums[0])}, ${labels[1]} ${this.formatValue(sums[1])}`;
  }

  fillFunctions() {
    const { self, cumulative, names } = this;
    const pattern = parsePattern(this.filter.value);
    const found = names.map((_, at) => at).filter((at) => pattern(names[at]));
    const byName = (/** @type {number} */ a, /** @type {number} */ b) => (names[a] < names[b] ? -1 : 1);
    const orders = /** @type {Record<string, (a: number, b: number) => number>} */ ({
      self: byChange([self, cumulative], byName),
      cumulative: byChange([cumulative, self], byName),
      name: byName,
    });
    found.sort(orders[this.sort]);
    const listed = this.all ? found : found.slice(0, FEW_ROWS);
    const rows = listed.map((at) => {
      const { file, line } = this.meta.functions[at];
      const verdict = self.isClear(at) ? self.verdict(at) : cumulative.verdict(at);
      const name = element("td", "", "name");
      name.append(this.functionButton(at));
      const figures = [self, cumulative].flatMap((changes) => [
        element("td", changes.values(at).map((value) => this.formatValue(value)).join(" → "), "number"),
        element("td", this.formatWithMargin(changes, at), `number ${changes.verdict(at)}`),
      ]);
      const place = file ? (line > 0 ? `${file}:${line}` : file) : "";
      return row([element("td", this.word(verdict), verdict), name, ...figures, element("td", place, "place")]);
    });
    document.querySelector("#functions tbody")?.replaceChildren(...rows);
    markSorted(this.sort);
    const more = byId("more", HTMLElement);
    more.hidden = listed.length === found.length;
    more.textContent = `All ${found.length} functions`;
  }

  /** @param {number} at  a function, which is searched when the button is pressed */
  functionButton(at) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = this.names[at];
    button.addEventListener("click", () => this.showFunction(at));
    return button;
  }

  /** @param {number} at */
  showFunction(at) {
    this.search.value = `^${this.names[at].replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`;
    this.chosen = at;
    // A function without a weight in one of the profiles has no width there.
    const side = this.width.value === "old" ? 0 : 1;
    if (!(this.cumulative.weights[side][at] > 0)) this.width.value = side === 0 ? "new" : "old";
    this.zoomed = [];
    this.redraw();
    this.writeFragment();
    byId("graph", HTMLElement).scrollIntoView({ block: "nearest" });
  }

  /** @param {number} node */
  nameOf(node) {
    return this.shown.label[node] < 0 ? "all" : this.names[this.shown.label[node]];
  }

  /** @param {number} node */
  describe(node) {
    const at = this.shown.source[node];
    const values = this.nodes.values(at).map((value) => this.formatValue(value)).join(" → ");
    return `${values} ${this.nameOf(node)}${this.nodes.isClear(at) ? `, ${this.word(this.nodes.verdict(at))} ${this.formatDifference(this.nodes.difference(at).value)}${this.formatRelative(this.nodes, at)}` : ""}`;
  }

  /** @param {number} node */
  details(node) {
    const at = this.shown.source[node];
    const { file = "", line = 0 } = this.shown.label[node] < 0 ? {} : this.meta.functions[this.shown.label[node]];
    const samples = this.nodes.samples.map((counts) => counts[at].toLocaleString("en")).join(" → ");
    const counted = this.meta.sampled ? ` · ${samples} samples` : "";
    return `${this.nameOf(node)} · ${this.describeChange(this.nodes, at)}${counted}${file && ` · ${line > 0 ? `${file}:${line}` : file}`}`;
  }

  /**
   * Describes a figure: old and new value, change, interval and verdict.
   * @param {Changes} changes
   * @param {number} at
   */
  describeChange(changes, at) {
    const { labels, unit, shares, sampled, unclear } = this.meta;
    const [before, after] = changes.values(at).map((value) => this.formatValue(value));
    const values = `${labels[0]} ${before} → ${labels[1]} ${after}`;
    // The root contains all samples, so its shares cannot change.
    if (shares && changes === this.nodes && at === 0) return values;
    const { low, high } = changes.difference(at);
    const interval = sampled ? ` (${this.formatDifference(low)} to ${this.formatDifference(high)})` : "";
    const verdict = changes.isClear(at) ? this.word(changes.verdict(at)) : unclear;
    return `${values}: ${this.formatDifference(changes.difference(at).value)} ${unit}${interval}${this.formatRelative(changes, at)}, ${verdict}`;
  }

  /**
   * Formats a difference with its margin, as the table in a terminal does.
   * @param {Changes} changes
   * @param {number} at
   */
  formatWithMargin(changes, at) {
    if (changes.weights.every((weights) => weights[at] === 0)) return "";
    const { value, low, high } = changes.difference(at);
    const margin = value > 0 ? value - low : high - value;
    const relative = this.formatRelative(changes, at);
    if (!this.meta.sampled) return `${this.formatDifference(value)}${relative}`;
    return `${changes.isClear(at) ? "" : "~ "}${this.formatDifference(value)} ± ${this.formatDecimals(margin, 2)}${relative}`;
  }

  /**
   * Formats a difference relative to the old value. Empty if values are shares.
   * @param {Changes} changes
   * @param {number} at
   */
  formatRelative(changes, at) {
    const [before] = changes.values(at);
    if (this.meta.shares || !(before > 0)) return "";
    const percent = (changes.difference(at).value / before) * 100;
    return `, ${sign(percent)}${Math.abs(percent).toFixed(0)} %`;
  }

  /** @param {string} verdict */
  word(verdict) {
    return verdict === "unclear" ? "" : verdict;
  }

  /**
   * Formats a value of a profile with its unit.
   * @param {number} value
   */
  formatValue(value) {
    const { decimals, value_unit: unit } = this.meta;
    const least = 10 ** -decimals;
    const scaled = value / this.meta.scale;
    if (!(value > 0)) return "0";
    return `${scaled < least / 2 ? `<${least.toFixed(decimals)}` : this.formatDecimals(value, decimals)}${unit && ` ${unit}`}`;
  }

  /**
   * Formats a difference with its sign.
   * @param {number} value
   */
  formatDifference(value) {
    return `${sign(value)}${this.formatDecimals(Math.abs(value), 2)}`;
  }

  /**
   * @param {number} value
   * @param {number} decimals
   */
  formatDecimals(value, decimals) {
    return (value / this.meta.scale).toFixed(decimals);
  }

  writeFragment() {
    const state = stateOf(this.controls);
    for (const name of this.zoomed) state.append("zoom", name);
    history.replaceState(null, "", `#${state}`);
  }

  readFragment() {
    this.chosen = -1;
    const state = new URLSearchParams(location.hash.slice(1));
    restore(this.controls, state);
    this.zoomed = state.getAll("zoom");
  }
}

/** The colours of changes. The larger the change relative to the frame, the deeper the colour. */
class DiffColors {
  /** @param {(name: string) => string} color  of the style */
  constructor(color) {
    this.unclear = color("unclear");
    this.added = color("new");
    const channels = (/** @type {string} */ name) => [1, 3, 5].map((at) => parseInt(color(name).trim().slice(at, at + 2), 16));
    this.grew = ["grew-little", "grew"].map(channels);
    this.shrank = ["shrank-little", "shrank"].map(channels);
  }

  /**
   * @param {Changes} nodes
   * @param {number} at
   */
  colorOf(nodes, at) {
    const verdict = nodes.verdict(at);
    if (verdict === "unclear") return this.unclear;
    if (verdict === "new") return this.added;
    const [light, deep] = verdict === "grew" ? this.grew : this.shrank;
    const values = nodes.values(at);
    const depth = Math.min(Math.abs(values[1] - values[0]) / Math.max(...values), 1);
    return `rgb(${light.map((channel, part) => Math.round(channel + (deep[part] - channel) * depth)).join(" ")})`;
  }
}

/**
 * Returns the order of functions by the first of two changes, and then by the second. Changes beyond chance come first, then
 * larger changes. If only the second change is beyond chance, it decides.
 * @param {[Changes, Changes]} changes
 * @param {(a: number, b: number) => number} byName
 * @returns {(a: number, b: number) => number}
 */
function byChange(changes, byName) {
  const count = changes[0].verdicts.length;
  const ranks = Array.from({ length: count }, (_, at) => (changes[0].isClear(at) ? 0 : changes[1].isClear(at) ? 1 : 2));
  const sizes = changes.map((one) => Array.from({ length: count }, (_, at) => Math.abs(one.difference(at).value)));
  return (a, b) => {
    const [first, second] = ranks[a] === 1 ? [sizes[1], sizes[0]] : sizes;
    return ranks[a] - ranks[b] || first[b] - first[a] || second[b] - second[a] || byName(a, b);
  };
}

/** @param {number} value */
function sign(value) {
  return value < 0 ? "−" : "+";
}

/** @param {string} text */
function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

start(unpack, (data) => new DiffPage(data));
