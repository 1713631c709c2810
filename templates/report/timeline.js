// @ts-check
// The heat map shows when the samples were taken. A column is a span of time, and a cell is a part of this span.
"use strict";

const CELLS_PER_COLUMN = 40;
/** Height of all cells of a column, in pixels. */
const CELLS_HEIGHT = 160;
const MAX_COLUMNS = 300;
/** Possible lengths of a column, in seconds. */
const SPANS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600, 86400];

class HeatMap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Data} data
   * @param {Timeline} timeline
   */
  constructor(canvas, data, timeline) {
    this.canvas = canvas;
    this.lanes = new Lanes(timeline);
    canvas.setAttribute("aria-label", `Samples by time${describeFigures(this.lanes.whole)}`);
    canvas.style.height = `${this.lanes.height + CELLS_HEIGHT}px`;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const seconds = timeline.to - timeline.from;
    /** Length of a column in seconds. */
    this.span = SPANS.find((span) => seconds / span <= MAX_COLUMNS) ?? seconds / MAX_COLUMNS;
    /** Number of the first column. Column 0 begins at the first sample, so columns before it have negative numbers. */
    this.first = Math.floor(timeline.from / this.span);
    this.columns = Math.floor(timeline.to / this.span) + 1 - this.first;
    this.cells = new Float64Array(this.columns * CELLS_PER_COLUMN);
    const { time, weightOfMoment } = data;
    for (let moment = 0; time && weightOfMoment && moment < time.length; moment++) {
      const second = time[moment] / 1e9;
      const column = Math.floor(second / this.span);
      const cell = Math.min(Math.floor(((second - column * this.span) / this.span) * CELLS_PER_COLUMN), CELLS_PER_COLUMN - 1);
      this.cells[(column - this.first) * CELLS_PER_COLUMN + cell] += weightOfMoment[moment];
    }
    this.most = this.cells.reduce((most, weight) => Math.max(most, weight), 0);
    /** @type {[number, number] | null} in seconds */
    this.range = null;
    /** @type {(range: [number, number] | null) => void}  null if the range is before the first sample */
    this.onRange = () => {};
    /** @type {number | null} */
    this.dragFrom = null;
    canvas.addEventListener("pointerdown", (event) => {
      this.dragFrom = this.secondAt(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.dragFrom === null) return;
      this.range = this.between(this.dragFrom, this.secondAt(event));
      this.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (this.dragFrom === null) return;
      const range = this.between(this.dragFrom, this.secondAt(event));
      this.dragFrom = null;
      this.onRange(range);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** @param {MouseEvent} event */
  secondAt(event) {
    const area = this.canvas.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - area.left) / area.width, 0), 1);
    return (this.first + share * this.columns) * this.span;
  }

  /**
   * Returns the range of whole columns between two times in seconds, without the time before the first sample. Null if both
   * times are before the first sample.
   * @param {number} a
   * @param {number} b
   * @returns {[number, number] | null}
   */
  between(a, b) {
    if (Math.max(a, b) <= 0) return null;
    const from = Math.floor(Math.max(Math.min(a, b), 0) / this.span);
    const to = Math.max(Math.ceil(Math.max(a, b) / this.span), from + 1);
    const digits = (/** @type {number} */ value) => Number(value.toFixed(3));
    return [digits(from * this.span), digits(Math.min(to, this.first + this.columns) * this.span)];
  }

  draw() {
    const { canvas, context, columns, span, range, lanes } = this;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(document.documentElement);
    const heat = style.getPropertyValue("--heat");
    const [whole, bottom] = [canvas.width / scale, canvas.height / scale];
    const width = whole / columns;
    const height = (bottom - lanes.height) / CELLS_PER_COLUMN;
    const x = (/** @type {number} */ second) => (second / span - this.first) * width;
    // Large cells have a gap of one pixel between them.
    const [across, down] = [width > 3 ? 1 : 0, height > 3 ? 1 : 0];
    for (let column = 0; column < columns; column++) {
      for (let cell = 0; cell < CELLS_PER_COLUMN; cell++) {
        const weight = this.cells[column * CELLS_PER_COLUMN + cell];
        if (weight === 0) continue;
        context.fillStyle = `rgba(${heat}, ${0.12 + 0.88 * (weight / this.most)})`;
        context.fillRect(column * width, bottom - (cell + 1) * height, width - across, height - down);
      }
    }
    lanes.draw(context, whole, x);
    if (range) {
      const [from, to] = range.map(x);
      context.strokeStyle = style.getPropertyValue("--accent");
      context.lineWidth = 2;
      context.strokeRect(from + 1, 1, Math.max(to - from - 2, 1), bottom - 2);
    }
  }
}
