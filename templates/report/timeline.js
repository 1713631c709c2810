// @ts-check
// The heat map: when the samples were taken. A column is a span of time, a cell a part of it.
"use strict";

const CELLS = 40;
const MOST_COLUMNS = 300;
const SPANS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600, 86400];

class HeatMap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Data} data  with times
   * @param {number} seconds  from the first to the last sample
   */
  constructor(canvas, data, seconds) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.seconds = Math.max(seconds, 0.001);
    /** Seconds of a column. */
    this.span = SPANS.find((span) => seconds / span <= MOST_COLUMNS) ?? seconds / MOST_COLUMNS;
    this.columns = Math.max(1, Math.floor(seconds / this.span) + 1);
    this.cells = new Float64Array(this.columns * CELLS);
    const { time, weightOfMoment } = data;
    for (let moment = 0; time && weightOfMoment && moment < time.length; moment++) {
      const second = time[moment] / 1e9;
      const column = Math.min(Math.floor(second / this.span), this.columns - 1);
      const cell = Math.min(Math.floor(((second - column * this.span) / this.span) * CELLS), CELLS - 1);
      this.cells[column * CELLS + cell] += weightOfMoment[moment];
    }
    this.most = this.cells.reduce((most, weight) => Math.max(most, weight), 0);
    /** @type {[number, number] | null} in seconds */
    this.range = null;
    /** @type {(range: [number, number] | null) => void} */
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
    return share * this.columns * this.span;
  }

  /**
   * Whole columns between two moments.
   * @param {number} a
   * @param {number} b
   * @returns {[number, number]}
   */
  between(a, b) {
    const from = Math.floor(Math.min(a, b) / this.span);
    const to = Math.max(Math.ceil(Math.max(a, b) / this.span), from + 1);
    const digits = (/** @type {number} */ value) => Number(value.toFixed(3));
    return [digits(from * this.span), digits(Math.min(to, this.columns) * this.span)];
  }

  draw() {
    const { canvas, context, columns, span, range } = this;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    const style = getComputedStyle(document.documentElement);
    const heat = style.getPropertyValue("--heat");
    const width = canvas.width / columns;
    const height = canvas.height / CELLS;
    for (let column = 0; column < columns; column++) {
      for (let cell = 0; cell < CELLS; cell++) {
        const weight = this.cells[column * CELLS + cell];
        if (weight === 0) continue;
        context.fillStyle = `rgba(${heat}, ${0.12 + 0.88 * (weight / this.most)})`;
        context.fillRect(column * width, canvas.height - (cell + 1) * height, Math.max(width - 1, 1), Math.max(height - 1, 1));
      }
    }
    if (range) {
      const [from, to] = range.map((second) => (second / span) * width);
      context.strokeStyle = style.getPropertyValue("--accent");
      context.lineWidth = 2 * scale;
      context.strokeRect(from + scale, scale, Math.max(to - from - 2 * scale, 1), canvas.height - 2 * scale);
    }
  }
}
