// @ts-check
// Draws a call tree as boxes on a canvas. Only the visible rows are drawn, so a tree can have any depth.
"use strict";

/** Height of a row of boxes, in pixels. */
const ROW_HEIGHT = 20;

/** Size of the text in boxes, in pixels. */
const FONT_SIZE = 12;

/** Narrower boxes are not drawn. In pixels. */
const MIN_BOX_WIDTH = 0.4;

/**
 * Gets a function that returns a colour of the style sheet by its name. Returns a function for the colour of a node.
 * @typedef {(color: (name: string) => string) => (tree: Tree, node: number) => string} Paint
 */

class FlameGraph {
  /**
   * @param {HTMLElement} scroller
   * @param {Paint} paint
   */
  constructor(scroller, paint) {
    this.scroller = scroller;
    this.canvas = /** @type {HTMLCanvasElement} */ (scroller.querySelector("canvas"));
    this.spacer = /** @type {HTMLElement} */ (scroller.querySelector(".spacer"));
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    this.paint = paint;
    /** @type {Tree | null} */
    this.tree = null;
    this.zoomed = 0;
    this.selected = 0;
    /** Whether the root is at the bottom. */
    this.upwards = false;
    /** @type {Uint8Array | null} */
    this.matches = null;
    this.drawing = 0;
    /** @type {(node: number) => void} */
    this.onSelect = () => {};
    /** @type {(node: number) => void} */
    this.onZoom = () => {};
    scroller.addEventListener("scroll", () => this.draw());
    this.canvas.addEventListener("mousemove", (event) => this.select(this.nodeAt(event)));
    this.canvas.addEventListener("click", (event) => this.zoom(this.nodeAt(event)));
    scroller.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.resize()).observe(scroller);
  }

  /**
   * @param {Tree} tree
   * @param {boolean} upwards
   */
  show(tree, upwards) {
    this.tree = tree;
    this.upwards = upwards;
    this.zoomed = 0;
    this.selected = 0;
    this.resize();
    if (upwards) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  resize() {
    if (!this.tree) return;
    const height = this.tree.height * ROW_HEIGHT;
    const shown = Math.min(height, Math.floor(innerHeight * 0.7));
    this.canvas.style.height = `${shown}px`;
    this.spacer.style.height = `${height - shown}px`;
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.scroller.clientWidth * scale);
    this.canvas.height = Math.round(shown * scale);
    this.draw();
  }

  draw() {
    if (!this.drawing) {
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        this.drawNow();
      });
    }
  }

  /** Returns the position of a node: left edge and width, as shares of the picture's width. */
  box(/** @type {number} */ node) {
    const tree = /** @type {Tree} */ (this.tree);
    const whole = tree.total[this.zoomed] || 1;
    if (tree.end[node] > this.zoomed && node < this.zoomed) return { left: 0, width: 1 };
    return { left: (tree.start[node] - tree.start[this.zoomed]) / whole, width: tree.total[node] / whole };
  }

  drawNow() {
    const { tree, context, canvas } = this;
    if (!tree) return;
    const scale = devicePixelRatio || 1;
    const width = canvas.width / scale;
    const height = canvas.height / scale;
    const style = getComputedStyle(document.documentElement);
    const color = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`);
    const fillOf = this.paint(color);
    const [text, page, accent, match, onMatch] = ["on-frame", "panel", "accent", "match", "on-match"].map(color);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = page;
    context.fillRect(0, 0, width, height);
    context.font = `${FONT_SIZE}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const top = this.scroller.scrollTop;
    const last = this.tree ? tree.height - 1 : 0;
    for (let node = 0; node < tree.label.length; ) {
      const { left, width: share } = this.box(node);
      const x = left * width;
      const w = share * width;
      const outside = x + w < 0 || x > width || w < MIN_BOX_WIDTH;
      if (outside) {
        node = tree.end[node];
        continue;
      }
      const row = this.upwards ? last - tree.depth[node] : tree.depth[node];
      const y = row * ROW_HEIGHT - top;
      // All callees are even further outside of the visible rows.
      if (this.upwards ? y <= -ROW_HEIGHT : y >= height) {
        node = tree.end[node];
        continue;
      }
      if (y > -ROW_HEIGHT && y < height) {
        const from = Math.max(x, 0);
        const until = Math.min(x + w, width);
        const found = this.matches && tree.label[node] >= 0 && this.matches[tree.label[node]] === 1;
        context.globalAlpha = this.matches && !found ? 0.45 : 1;
        context.fillStyle = found ? match : fillOf(tree, node);
        context.fillRect(from, y, Math.max(until - from - (w > 3 ? 1 : 0), MIN_BOX_WIDTH), ROW_HEIGHT - 1);
        context.globalAlpha = 1;
        if (until - from > 24) {
          context.fillStyle = found ? onMatch : text;
          const room = Math.floor((until - from - 8) / (FONT_SIZE * 0.55));
          context.fillText(shortened(this.nameOf(node), room), from + 4, y + ROW_HEIGHT / 2, until - from - 6);
        }
        if (node === this.selected) {
          context.strokeStyle = accent;
          context.lineWidth = 2;
          context.strokeRect(from + 1, y + 1, Math.max(until - from - 3, 1), ROW_HEIGHT - 3);
        }
      }
      node++;
    }
  }

  /** @param {number} node */
  nameOf(node) {
    const tree = /** @type {Tree} */ (this.tree);
    return tree.label[node] < 0 ? "all" : tree.labels[tree.label[node]];
  }

  /** @param {MouseEvent} event */
  nodeAt(event) {
    const tree = this.tree;
    if (!tree) return 0;
    const area = this.canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - area.top + this.scroller.scrollTop) / ROW_HEIGHT);
    const depth = this.upwards ? tree.height - 1 - row : row;
    const at = (event.clientX - area.left) / area.width;
    for (let node = 0; node < tree.label.length; ) {
      const { left, width } = this.box(node);
      if (at < left || at >= left + width) node = tree.end[node];
      else if (tree.depth[node] === depth) return node;
      else node++;
    }
    return -1;
  }

  /** @param {number} node */
  select(node) {
    if (node < 0 || node === this.selected) return;
    this.selected = node;
    this.onSelect(node);
    this.draw();
  }

  /** @param {number} node */
  zoom(node) {
    if (node < 0 || !this.tree) return;
    this.zoomed = node;
    this.selected = node;
    this.onZoom(node);
    this.onSelect(node);
    this.reveal(node);
    this.draw();
  }

  /** @param {number} node */
  reveal(node) {
    const tree = /** @type {Tree} */ (this.tree);
    const row = this.upwards ? tree.height - 1 - tree.depth[node] : tree.depth[node];
    const { scrollTop, clientHeight } = this.scroller;
    if (row * ROW_HEIGHT < scrollTop || (row + 1) * ROW_HEIGHT > scrollTop + clientHeight) {
      this.scroller.scrollTop = row * ROW_HEIGHT - clientHeight / 2;
    }
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const tree = this.tree;
    if (!tree || event.ctrlKey || event.metaKey || event.altKey) return;
    const node = this.selected;
    const siblings = node > 0 ? calleesOf(tree, tree.parent[node]) : [0];
    const heaviest = calleesOf(tree, node).sort((a, b) => tree.total[b] - tree.total[a])[0] ?? node;
    const outwards = Math.max(tree.parent[node], 0);
    /** @type {Record<string, number | undefined>} */
    const moves = {
      ArrowDown: this.upwards ? outwards : heaviest,
      ArrowUp: this.upwards ? heaviest : outwards,
      ArrowRight: siblings[siblings.indexOf(node) + 1] ?? node,
      ArrowLeft: siblings[siblings.indexOf(node) - 1] ?? node,
      Home: 0,
    };
    const next = moves[event.key];
    if (next !== undefined) {
      this.select(next);
      this.reveal(next);
    } else if (event.key === "Enter") {
      this.zoom(node);
    } else if (event.key === "Escape") {
      this.zoom(Math.max(tree.parent[this.zoomed], 0));
    } else {
      return;
    }
    event.preventDefault();
  }
}

/**
 * Shortens a name to at most `room` characters. The name first loses the directories of its package, then package and
 * receiver, and at last its end.
 * @param {string} name
 * @param {number} room
 */
function shortened(name, room) {
  if (name.length <= room) return name;
  const bracket = name.indexOf("[");
  const slash = name.lastIndexOf("/", bracket < 0 ? undefined : bracket);
  const short = slash < 0 ? name : name.slice(slash + 1);
  if (short.length <= room) return short;
  const dot = short.indexOf(".");
  const inPackage = dot < 0 ? short : short.slice(dot + 1);
  if (inPackage.length <= room) return inPackage;
  const own = inPackage.replace(/^\(.*?\)\./, "");
  return own.length <= room ? own : room > 3 ? `${own.slice(0, room - 1)}…` : "";
}
