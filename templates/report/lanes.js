// @ts-check
// The lanes above the heat map, on the same axis of time: the phases of a run, and what the Go runtime reported.
"use strict";

/**
 * A garbage collection. Times in seconds since the first sample, sizes of the heap in MiB.
 * @typedef {{ from: number, to: number, process: number, before: number, after: number, live: number }} Collection
 */

/**
 * Times in seconds since the first sample; negative before it.
 * @typedef {object} Timeline
 * @property {number} from
 * @property {number} to
 * @property {[string, number, number][]} phases  name, start and end
 * @property {[string, number, number][]} load  name, start and end of the load; empty without a load
 * @property {Collection[]} collections  in the order of their starts
 * @property {{ at: number, process: number, length: number }[]} queues  goroutines that wait for a processor, by time
 */

/**
 * @param {any} meta  the timeline of the page's data, or null
 * @param {Record<string, Float64Array>} columns
 * @returns {Timeline | null}
 */
function readTimeline(meta, columns) {
  if (!meta) return null;
  const from = meta.from / 1e9;
  const times = (/** @type {string} */ name) => {
    let since = 0;
    return Array.from(columns[name], (step) => from + (since += step) / 1e6);
  };
  const seconds = (/** @type {[string, number, number]} */ [name, start, end]) => /** @type {[string, number, number]} */ ([name, start / 1e9, end / 1e9]);
  const starts = times("gc start");
  return {
    from,
    to: meta.to / 1e9,
    phases: meta.phases.map(seconds),
    load: meta.load ? [seconds(["load", meta.load[0], meta.load[1]])] : [],
    collections: starts.map((start, at) => ({
      from: start,
      to: start + columns["gc length"][at] / 1e6,
      process: columns["gc process"][at],
      before: columns["heap before"][at],
      after: columns["heap after"][at],
      live: columns["heap live"][at],
    })),
    queues: times("queue time").map((at, index) => ({ at, process: columns["queue process"][index], length: columns["queue length"][index] })),
  };
}

// Heights in pixels: of the text above a curve or marks, of a curve, and of marks.
const CAPTION_HEIGHT = 15;
const CURVE_HEIGHT = 34;
const MARKS_HEIGHT = 10;

/**
 * @typedef {object} Figure
 * @property {string} name
 * @property {string} color  of its lane: the name of a variable of the style sheet
 * @property {string} text
 */

/** The lanes above the heat map. There are none without phases and events. */
class Lanes {
  /** @param {Timeline} timeline */
  constructor(timeline) {
    this.timeline = timeline;
    const { phases, load, collections, queues } = timeline;
    const heap = curvesOfProcesses(collections.flatMap(({ process, from, to, before, after, live }) => [
      { process, at: from, value: before },
      { process, at: to, value: after },
      { process, at: to, value: live },
    ]));
    const queue = curvesOfProcesses(queues.map(({ process, at, length }) => ({ process, at, value: length })));
    /** Figures of the whole time, by name. */
    this.whole = this.figures([-Infinity, Infinity]);
    const caption = (/** @type {string} */ name) => `${name}: ${this.whole.find((figure) => figure.name === name)?.text}`;
    /** @type {{ height: number, draw: (pen: Pen) => void }[]} */
    this.lanes = [];
    for (const spans of [phases, load]) {
      if (spans.length > 0) this.lanes.push({ height: CAPTION_HEIGHT + 3, draw: (pen) => pen.spans(spans) });
    }
    if (collections.length > 0) {
      this.lanes.push({ height: CAPTION_HEIGHT + MARKS_HEIGHT + 2, draw: (pen) => pen.marks(collections, caption("GC cycles"), "gc") });
      this.lanes.push({ height: CAPTION_HEIGHT + CURVE_HEIGHT + 2, draw: (pen) => pen.curves(heap, false, caption("Heap"), "heap") });
    }
    if (queues.length > 0) this.lanes.push({ height: CAPTION_HEIGHT + CURVE_HEIGHT + 2, draw: (pen) => pen.curves(queue, true, caption("Run queue"), "queue") });
    this.height = this.lanes.reduce((sum, lane) => sum + lane.height, 0);
  }

  /**
   * Returns the figures of a range of time. The range is in seconds.
   * @param {[number, number]} range
   */
  figures([since, until]) {
    const { phases, load, collections, queues } = this.timeline;
    /** @type {Figure[]} */
    const figures = [...phases, ...load].map(([name, from, to]) => {
      const length = Math.max(0, Math.min(to, until) - Math.max(from, since));
      return { name: name === "load" ? "Load" : `Phase ${name}`, color: "phase", text: `${length.toFixed(2)} s` };
    });
    if (collections.length > 0) {
      const cycles = collections.filter((cycle) => cycle.from >= since && cycle.from < until);
      const least = cycles.reduce((least, cycle) => Math.min(least, cycle.before, cycle.live), Infinity);
      const most = cycles.reduce((most, cycle) => Math.max(most, cycle.before, cycle.after), 0);
      figures.push({ name: "GC cycles", color: "gc", text: String(cycles.length) });
      figures.push({ name: "Heap", color: "heap", text: cycles.length > 0 ? `${least} to ${most} MiB` : "no GC cycle" });
    }
    if (queues.length > 0) {
      const states = queues.filter((state) => state.at >= since && state.at < until);
      const most = states.reduce((most, state) => Math.max(most, state.length), 0);
      figures.push({ name: "Run queue", color: "queue", text: states.length > 0 ? `at most ${most} goroutine${most === 1 ? "" : "s"}` : "not reported" });
    }
    return figures;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {(second: number) => number} x  the horizontal position of a time
   */
  draw(context, width, x) {
    let top = 0;
    for (const lane of this.lanes) {
      lane.draw(new Pen(context, top, lane.height, width, x));
      top += lane.height;
    }
  }
}

/** @param {Figure[]} figures */
function describeFigures(figures) {
  return figures.map(({ name, text }) => `; ${name}: ${text}`).join("");
}

/**
 * Shows the figures of the lanes as a table, for readers who cannot see the lanes.
 * @param {Lanes} lanes
 * @param {[number, number] | null} range  in seconds
 */
function fillFigures(lanes, range) {
  const inRange = range ? lanes.figures(range) : [];
  const head = ["Above the samples", "all of the time", ...(range ? [`${range[0]} s to ${range[1]} s`] : [])].map((title) => {
    const cell = element("th", title);
    cell.setAttribute("scope", "col");
    return cell;
  });
  const rows = lanes.whole.map(({ name, color, text }, at) => {
    const header = element("th", "");
    header.setAttribute("scope", "row");
    header.append(swatch(color), name);
    return row([header, element("td", text), ...inRange.slice(at, at + 1).map((figure) => element("td", figure.text))]);
  });
  const table = byId("figures", HTMLTableElement);
  table.hidden = rows.length === 0;
  table.tHead?.replaceChildren(row(head));
  table.tBodies[0].replaceChildren(...rows);
}

/**
 * Returns a curve for each process: its points.
 * @param {{ process: number, at: number, value: number }[]} points
 */
function curvesOfProcesses(points) {
  /** @type {Map<number, { at: number, value: number }[]>} */
  const byProcess = new Map();
  for (const point of points) {
    const known = byProcess.get(point.process);
    if (known) known.push(point);
    else byProcess.set(point.process, [point]);
  }
  return [...byProcess.values()];
}

/** Draws in one lane. */
class Pen {
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} top
   * @param {number} height
   * @param {number} width
   * @param {(second: number) => number} x
   */
  constructor(context, top, height, width, x) {
    Object.assign(context, { font: "12px system-ui, sans-serif", textBaseline: "middle", lineWidth: 1.5, lineJoin: "round" });
    this.context = context;
    this.top = top;
    this.bottom = top + height - 2;
    this.width = width;
    this.x = x;
    this.style = getComputedStyle(document.documentElement);
  }

  /** @param {string} name */
  color(name) {
    return this.style.getPropertyValue(`--${name}`);
  }

  /** @param {string} text */
  caption(text) {
    this.context.fillStyle = this.color("text");
    this.context.fillText(text, 4, this.top + CAPTION_HEIGHT / 2 + 1, this.width - 8);
  }

  /**
   * Draws spans of time, with their names if there is room.
   * @param {[string, number, number][]} spans
   */
  spans(spans) {
    const { context } = this;
    for (const [name, from, to] of spans) {
      const left = this.x(from);
      const room = this.x(to) - left;
      const thick = name === "window" || name === "load" ? 3 : 1;
      context.fillStyle = this.color("phase");
      context.fillRect(left, this.bottom - thick, Math.max(room - 1, 1), thick);
      context.fillStyle = this.color("text");
      if (context.measureText(name).width + 8 < room) context.fillText(name, left + 4, this.top + CAPTION_HEIGHT / 2);
    }
  }

  /**
   * Draws a mark for each collection, as wide as its time.
   * @param {Collection[]} collections
   * @param {string} caption
   * @param {string} color
   */
  marks(collections, caption, color) {
    this.caption(caption);
    this.context.fillStyle = this.color(color);
    for (const { from, to } of collections) {
      const left = this.x(from);
      this.context.fillRect(left, this.bottom - MARKS_HEIGHT, Math.max(this.x(to) - left, 1), MARKS_HEIGHT);
    }
  }

  /**
   * Draws curves on a common scale from 0 to their largest value.
   * @param {{ at: number, value: number }[][]} curves
   * @param {boolean} stepped  whether a value is valid until the next one
   * @param {string} caption
   * @param {string} color
   */
  curves(curves, stepped, caption, color) {
    const { context, bottom } = this;
    this.caption(caption);
    const most = curves.flat().reduce((most, { value }) => Math.max(most, value), 1);
    const y = (/** @type {number} */ value) => bottom - 1 - (value / most) * (CURVE_HEIGHT - 2);
    context.strokeStyle = this.color(color);
    for (const points of curves) {
      context.beginPath();
      let last = points[0].value;
      for (const { at, value } of points) {
        if (stepped) context.lineTo(this.x(at), y(last));
        context.lineTo(this.x(at), y(value));
        last = value;
      }
      context.stroke();
    }
  }
}
