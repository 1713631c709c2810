// @ts-check
// The page of a profile. Its state is in the fragment of the URL.
"use strict";

/**
 * The names of origins, in the order of the legend.
 * @type {Record<string, string>}
 */
const ORIGIN_NAMES = {
  main: "main module",
  module: "other modules",
  std: "standard library",
  runtime: "runtime and GC",
  native: "C and native",
  vdso: "vdso",
  kernel: "kernel",
  unknown: "unknown",
};
const ORIGINS = Object.keys(ORIGIN_NAMES);

class Page {
  /** @param {Data} data */
  constructor(data) {
    this.data = data;
    this.meta = data.meta;
    this.event = byId("event", HTMLSelectElement);
    this.view = byId("view", HTMLSelectElement);
    this.group = byId("group", HTMLSelectElement);
    this.search = byId("search", HTMLInputElement);
    this.filter = byId("filter", HTMLInputElement);
    this.boxes = ["kernel", "runtime", "inlined", "recursion", "packages"].map((id) => byId(id, HTMLInputElement));
    this.controls = [this.view, this.group, this.search, ...this.boxes];
    this.status = byId("status", HTMLElement);
    this.sort = "self";
    this.all = false;
    /** @type {[number, number] | null} in seconds */
    this.range = null;
    /** @type {string | null} The name of the function in the middle of the sandwich. */
    this.function = null;
    /** @type {string[]} Names from the root to the zoomed node. */
    this.zoomed = [];
    // `redraw` builds the trees.
    this.tree = new Nodes().toTree([], []);
    this.shown = this.tree;
    this.weights = labelWeights(this.tree);
    const originOf = (/** @type {number} */ label) => {
      const at = this.shown.functionOf[label];
      return at < 0 ? "group" : this.meta.functions[at].origin;
    };
    const paint = (/** @type {(name: string) => string} */ color) => {
      const fills = Object.fromEntries(["group", ...ORIGINS].map((name) => [name, color(name)]));
      return (/** @type {Tree} */ tree, /** @type {number} */ node) => fills[tree.label[node] < 0 ? "group" : originOf(tree.label[node])];
    };
    this.graph = new FlameGraph(byId("frames", HTMLElement), paint);
    this.callers = new FlameGraph(byId("callers", HTMLElement), paint);
    this.textTree = new TextTree(byId("tree", HTMLElement), (node) => this.describe(this.shown, node));
    /** @type {HeatMap | null} */
    this.heat = null;
    this.fillHeader();
    this.fillEvents();
    this.source = new SourceView(this.meta.sources, (weight) => this.percent(weight, this.meta.total));
    this.fillOwnLines();
    this.fillTime();
    this.listen();
    this.readFragment();
    this.redraw();
  }

  fillHeader() {
    const { quality, facts, groupings } = this.meta;
    const verdict = byId("verdict", HTMLElement);
    verdict.textContent = `Quality ${quality.summary}`;
    verdict.className = quality.grade;
    byId("reasons", HTMLElement).append(...[...quality.reasons, ...this.meta.notes].map((text) => element("li", text)));
    byId("facts", HTMLElement).append(...facts.flatMap((/** @type {[string, string]} */ [name, value]) => [element("dt", name), element("dd", value)]));
    this.group.append(option("", "nothing"), ...groupings.map((/** @type {any} */ one) => option(one.name, one.name)));
  }

  /** Fills the choice of the event. With one event, there is none. */
  fillEvents() {
    const { events = [], event } = this.meta;
    if (events.length === 0) return;
    for (const { name, unit } of events) {
      const choice = option(name, unit === "events" ? name : `${name} (${unit})`);
      choice.defaultSelected = name === event;
      this.event.append(choice);
    }
    this.event.value = event;
    byId("events", HTMLElement).hidden = false;
    this.controls.push(this.event);
  }

  /** Takes the figures of the chosen event, if they are not those of the page. */
  weigh() {
    const { events = [], event } = this.meta;
    const at = events.findIndex((/** @type {any} */ one) => one.name === this.event.value);
    if (at < 0 || events[at].name === event) return;
    const { name, unit, samples, total, own_lines, sources } = events[at];
    Object.assign(this.meta, { event: name, unit, samples, total, own_lines });
    this.data.weight = this.data.weightOfEvent[at];
    this.source.weigh(sources);
    this.fillOwnLines();
  }

  fillOwnLines() {
    const rows = this.meta.own_lines.map((/** @type {any} */ line) => {
      const name = element("td", "", "name");
      name.append(this.functionButton(line.function));
      const place = element("td", "", "place");
      place.append(this.placeButton(line.function, `${line.file}:${line.line}`));
      return row([element("td", this.percent(line.weight, this.meta.total), "number"), place, name, element("td", line.callee ?? "", "name")]);
    });
    byId("own", HTMLElement).hidden = rows.length === 0;
    document.querySelector("#own tbody")?.replaceChildren(...rows);
  }

  fillTime() {
    if (!this.data.timeline) return;
    byId("time", HTMLElement).hidden = false;
    this.heat = new HeatMap(byId("heat", HTMLCanvasElement), this.data, this.data.timeline);
    const { span, first, columns } = this.heat;
    byId("column", HTMLElement).textContent = span < 1 ? `${span * 1000} ms` : span === 1 ? "one second" : `${span} seconds`;
    const ends = [first * span, (first + columns) * span].map((second) => element("span", `${Number(second.toFixed(3))} s`));
    byId("axis", HTMLElement).append(...ends);
    this.heat.onRange = (range) => {
      this.setRange(range);
      if (!range) this.status.textContent = "There are no samples before 0 s, so nothing is selected.";
    };
  }

  listen() {
    for (const input of [this.event, this.view, this.group, ...this.boxes]) {
      input.addEventListener("change", () => {
        this.zoomed = [];
        this.redraw();
        this.writeFragment();
      });
    }
    this.search.addEventListener("input", () => {
      this.mark();
      this.writeFragment();
    });
    listenToSharedControls(this);
    byId("range", HTMLElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const [from, to] = ["from", "to"].map((id) => Number(byId(id, HTMLInputElement).value.replace(",", ".")));
      if (to > from && from >= 0) this.setRange([from, to]);
      else this.status.textContent = "The range is empty: `to` must be after `from`, both in seconds.";
    });
    byId("whole", HTMLElement).addEventListener("click", () => this.setRange(null));
    for (const graph of [this.graph, this.callers]) {
      graph.onSelect = (node) => {
        const { tree } = graph;
        if (tree) byId("selected", HTMLElement).textContent = this.details(tree, node);
      };
      graph.scroller.addEventListener("keydown", (event) => this.onKey(graph, event));
    }
    this.graph.onZoom = (node) => {
      this.zoomed = pathOf(this.shown, node);
      if (node > 0) this.source.show(this.zoomed[this.zoomed.length - 1]);
      this.writeFragment();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawAll());
  }

  /**
   * @param {FlameGraph} graph
   * @param {KeyboardEvent} event
   */
  onKey(graph, event) {
    const { tree, selected } = graph;
    if (!tree || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "c") {
      copyStack(tree, selected, this.status);
    } else if (event.key === "s" && tree.label[selected] >= 0) {
      this.showFunction(tree.labels[tree.label[selected]]);
    }
  }

  /** @returns {TreeOptions} */
  options() {
    const [kernel, runtime, inlined, recursion, packages] = this.boxes.map((box) => box.checked);
    const hidden = new Set([...(kernel ? [] : ["kernel"]), ...(runtime ? [] : ["runtime"])]);
    const grouping = this.data.groupings.findIndex((one) => one.name === this.group.value);
    return { hidden, inlined, recursion, packages, grouping };
  }

  /** @param {[number, number] | null} range */
  setRange(range) {
    this.range = range;
    this.zoomed = [];
    this.redraw();
    this.writeFragment();
  }

  /** @param {string} name */
  showFunction(name) {
    this.function = name;
    this.source.show(name);
    this.view.value = "sandwich";
    this.zoomed = [];
    this.redraw();
    this.writeFragment();
    byId("graph", HTMLElement).scrollIntoView({ block: "nearest" });
  }

  /** @param {string[]} names from the root */
  showPath(names) {
    if (this.view.value !== "flame") this.view.value = "icicle";
    this.zoomed = names;
    this.source.show(names[names.length - 1]);
    this.redraw();
    this.writeFragment();
    byId("graph", HTMLElement).scrollIntoView({ block: "nearest" });
  }

  redraw() {
    this.weigh();
    const range = /** @type {[number, number] | null} */ (this.range && this.range.map((second) => second * 1e9));
    this.tree = rootTree(this.data, weightsIn(this.data, range), this.options());
    this.weights = labelWeights(this.tree);
    const view = this.view.value;
    const callers = byId("callers", HTMLElement);
    callers.hidden = true;
    const middle = this.function === null ? -1 : this.tree.labels.indexOf(this.function);
    this.shown = this.tree;
    if (view === "inverted") this.shown = invertedTree(this.tree);
    if (view === "sandwich" && middle >= 0) {
      const both = sandwich(this.tree, middle);
      this.shown = both.callees;
      callers.hidden = false;
      this.callers.show(both.callers, true);
    }
    this.graph.show(this.shown, view === "flame");
    const zoomed = findPath(this.shown, this.zoomed);
    if (zoomed > 0) {
      this.graph.zoomed = zoomed;
      this.graph.selected = zoomed;
    }
    byId("selected", HTMLElement).textContent = this.details(this.shown, this.graph.selected);
    this.textTree.show(this.shown);
    this.fillLegend();
    this.fillFunctions();
    fillHotPaths(this.tree, (weight) => this.percent(weight, this.tree.total[0]), (node) => this.showPath(pathOf(this.tree, node)));
    for (const [id, at] of /** @type {[string, 0 | 1][]} */ ([["from", 0], ["to", 1]])) {
      byId(id, HTMLInputElement).value = this.range ? String(this.range[at]) : "";
    }
    if (this.heat) {
      this.heat.range = this.range;
      fillFigures(this.heat.lanes, this.range);
    }
    this.mark();
    if (view === "sandwich" && middle < 0) this.status.textContent = "Choose a function: press S on a frame, or select its name in the table.";
  }

  drawAll() {
    this.graph.draw();
    this.callers.draw();
    this.heat?.draw();
  }

  /** Marks the frames that the search finds, and shows their share. */
  mark() {
    const { tree } = this;
    const text = this.search.value;
    let matches = null;
    const whole = this.amount(tree.total[0]);
    const { range } = this;
    const lanes = range && this.heat ? describeFigures(this.heat.lanes.figures(range).filter((figure) => figure.color !== "phase")) : "";
    this.status.textContent = range ? `${whole} from ${range[0]} s to ${range[1]} s${lanes}` : whole;
    if (text) {
      const pattern = parsePattern(text);
      matches = Uint8Array.from(tree.labels, (label) => (pattern(label) ? 1 : 0));
      let found = 0;
      for (let node = 1; node < tree.label.length; ) {
        const hit = matches[tree.label[node]] === 1;
        if (hit) found += tree.total[node];
        node = hit ? tree.end[node] : node + 1;
      }
      this.status.textContent = `“${text}” is on the stack in ${this.percent(found, tree.total[0])} of ${whole}`;
    }
    this.graph.matches = matches;
    this.callers.matches = matches;
    this.drawAll();
  }

  fillLegend() {
    const { tree, meta } = this;
    const self = new Map(ORIGINS.map((origin) => [origin, 0]));
    tree.self.forEach((weight, node) => {
      const at = tree.label[node] < 0 ? -1 : tree.functionOf[tree.label[node]];
      if (at >= 0) self.set(meta.functions[at].origin, (self.get(meta.functions[at].origin) ?? 0) + weight);
    });
    const items = ORIGINS.filter((origin) => (self.get(origin) ?? 0) > 0).map((origin) => {
      return legendItem(origin, `${ORIGIN_NAMES[origin]} ${this.percent(self.get(origin) ?? 0, tree.total[0])} self`);
    });
    byId("legend", HTMLElement).replaceChildren(...items);
  }

  fillFunctions() {
    const { tree, weights } = this;
    const pattern = parsePattern(this.filter.value);
    const labels = tree.labels.map((_, label) => label).filter((label) => weights.total[label] > 0 && tree.functionOf[label] >= 0 && pattern(tree.labels[label]));
    const { self, total } = weights;
    const byName = (/** @type {number} */ a, /** @type {number} */ b) => (tree.labels[a] < tree.labels[b] ? -1 : 1);
    const orders = /** @type {Record<string, (a: number, b: number) => number>} */ ({
      self: (a, b) => self[b] - self[a] || total[b] - total[a] || byName(a, b),
      total: (a, b) => total[b] - total[a] || self[b] - self[a] || byName(a, b),
      name: byName,
    });
    labels.sort(orders[this.sort]);
    const listed = this.all ? labels : labels.slice(0, FEW_ROWS);
    const rows = listed.map((label) => {
      const { file, line } = this.meta.functions[tree.functionOf[label]];
      const name = element("td", "", "name");
      name.append(this.functionButton(tree.labels[label]));
      return row([
        element("td", this.percent(self[label], tree.total[0]), "number"),
        element("td", this.percent(total[label], tree.total[0]), "number"),
        name,
        element("td", this.boxes[4].checked || !file ? "" : line > 0 ? `${file}:${line}` : file, "place"),
      ]);
    });
    document.querySelector("#functions tbody")?.replaceChildren(...rows);
    markSorted(this.sort);
    const more = byId("more", HTMLElement);
    more.hidden = listed.length === labels.length;
    more.textContent = `All ${labels.length} functions`;
  }

  /**
   * Returns a button that shows the source of a function, or a plain text if the page does not have the source.
   * @param {string} name
   * @param {string} place
   */
  placeButton(name, place) {
    if (!this.source.has(name)) return document.createTextNode(place);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = place;
    button.addEventListener("click", () => {
      this.source.show(name);
      byId("source", HTMLElement).scrollIntoView({ block: "start" });
    });
    return button;
  }

  /** @param {string} name */
  functionButton(name) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => this.showFunction(name));
    return button;
  }

  /**
   * @param {Tree} tree
   * @param {number} node
   */
  describe(tree, node) {
    const name = tree.label[node] < 0 ? "all" : tree.labels[tree.label[node]];
    return `${this.percent(tree.total[node], this.tree.total[0])} ${name}${tree.inlined[node] ? " (inlined)" : ""}`;
  }

  /**
   * @param {Tree} tree
   * @param {number} node
   */
  details(tree, node) {
    const at = tree.label[node] < 0 ? -1 : tree.functionOf[tree.label[node]];
    const { file = "", line = 0 } = at < 0 || this.boxes[4].checked ? {} : this.meta.functions[at];
    const place = file && ` · ${line > 0 ? `${file}:${line}` : file}`;
    const self = tree.self[node] > 0 ? `, ${this.percent(tree.self[node], this.tree.total[0])} self` : "";
    return `${this.describe(tree, node)} · ${this.amount(tree.total[node])}${self}${place}`;
  }

  /**
   * Formats a share with as many digits as the number of samples justifies.
   * @param {number} part
   * @param {number} whole
   */
  percent(part, whole) {
    if (!(whole > 0)) return "0 %";
    const share = (part / whole) * 100;
    const samples = (this.meta.samples * whole) / Math.max(this.meta.total, 1);
    const digits = samples >= 1000 ? 1 : 0;
    return `${share > 0 && share < 0.5 / 10 ** digits ? "< " + (1 / 10 ** digits).toFixed(digits) : share.toFixed(digits)} %`;
  }

  /** @param {number} weight */
  amount(weight) {
    const { unit, event } = this.meta;
    if (unit === "nanoseconds") {
      const seconds = weight / 1e9;
      return seconds >= 100 ? `${Math.round(seconds)} s` : seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(seconds * 1e3).toPrecision(3)} ms`;
    }
    return `${Math.round(weight).toLocaleString("en")} ${unit === "bytes" ? "bytes" : event}`;
  }

  writeFragment() {
    const state = stateOf(this.controls);
    const set = (/** @type {string} */ name, /** @type {string} */ value) => value && state.set(name, value);
    set("range", this.range ? this.range.join("-") : "");
    set("function", this.view.value === "sandwich" ? this.function ?? "" : "");
    for (const name of this.zoomed) state.append("zoom", name);
    history.replaceState(null, "", `#${state}`);
  }

  readFragment() {
    const state = new URLSearchParams(location.hash.slice(1));
    restore(this.controls, state);
    const [from, to] = (state.get("range") ?? "").split("-").map(Number);
    this.range = this.heat && to > from ? [from, to] : null;
    this.function = state.get("function");
    this.zoomed = state.getAll("zoom");
  }
}

start(readData, (data) => new Page(data));
