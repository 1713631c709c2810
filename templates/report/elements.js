// @ts-check
// For all pages: elements of the document, the state of its controls, and the table of functions.
"use strict";

/** Number of rows that the table of functions shows at first. */
const FEW_ROWS = 30;

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 */
function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`no #${id}`);
  return element;
}

/**
 * Returns a test for names: a regular expression, or a plain text if the text is not a valid expression.
 * @param {string} text
 * @returns {(name: string) => boolean}
 */
function parsePattern(text) {
  try {
    const pattern = new RegExp(text, "i");
    return (name) => pattern.test(name);
  } catch {
    const plain = text.toLowerCase();
    return (name) => name.toLowerCase().includes(plain);
  }
}

/**
 * @param {string} tag
 * @param {string} text
 * @param {string} [className]
 */
function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** @param {HTMLElement[]} cells */
function row(cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}

/**
 * @param {string} value
 * @param {string} text
 */
function option(value, text) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}

/**
 * Returns a coloured square for a legend.
 * @param {string} color  the name of a variable of the style sheet
 */
function swatch(color) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  rect.setAttribute("width", "1");
  rect.setAttribute("height", "1");
  rect.style.fill = `var(--${color})`;
  svg.append(rect);
  return svg;
}

/**
 * Returns an entry of the legend.
 * @param {string} color  the name of a variable of the style sheet
 * @param {string} text
 */
function legendItem(color, text) {
  const item = element("li", "");
  item.append(swatch(color), text);
  return item;
}

/**
 * Copies the names on the path from the root to a node to the clipboard.
 * @param {Tree} tree
 * @param {number} node
 * @param {HTMLElement} status  shows the result
 */
function copyStack(tree, node, status) {
  navigator.clipboard?.writeText(pathOf(tree, node).join("\n")).then(
    () => (status.textContent = "The stack is copied."),
    () => (status.textContent = "The browser does not let this page copy."),
  );
}

/**
 * Listens to the controls that all pages have: form, zoom, table of functions, and the address.
 * @param {object} page
 * @param {FlameGraph} page.graph
 * @param {HTMLInputElement} page.filter
 * @param {string} page.sort
 * @param {boolean} page.all  whether the table lists all functions
 * @param {() => void} page.fillFunctions
 * @param {() => void} page.readFragment
 * @param {() => void} page.redraw
 */
function listenToSharedControls(page) {
  byId("controls", HTMLElement).addEventListener("submit", (event) => event.preventDefault());
  byId("reset", HTMLElement).addEventListener("click", () => page.graph.zoom(0));
  page.filter.addEventListener("input", () => page.fillFunctions());
  byId("more", HTMLElement).addEventListener("click", () => {
    page.all = true;
    page.fillFunctions();
  });
  for (const button of document.querySelectorAll("#functions th button")) {
    button.addEventListener("click", () => {
      page.sort = /** @type {HTMLElement} */ (button).dataset.sort ?? "self";
      page.fillFunctions();
    });
  }
  addEventListener("hashchange", () => {
    page.readFragment();
    page.redraw();
  });
}

/** @param {string} sorted  the column that sorts the table of functions */
function markSorted(sorted) {
  for (const button of document.querySelectorAll("#functions th button")) {
    const { sort } = /** @type {HTMLElement} */ (button).dataset;
    const header = /** @type {HTMLElement} */ (button.parentElement);
    if (sort === sorted) header.setAttribute("aria-sort", sort === "name" ? "ascending" : "descending");
    else header.removeAttribute("aria-sort");
  }
}

/** @typedef {HTMLInputElement | HTMLSelectElement} Control */

/** @param {Control} control */
function valueOf(control) {
  return control.type === "checkbox" ? (/** @type {HTMLInputElement} */ (control).checked ? "1" : "0") : control.value;
}

/** @param {Control} control */
function defaultOf(control) {
  if (control instanceof HTMLSelectElement) return ([...control.options].find((one) => one.defaultSelected) ?? control.options[0]).value;
  return control.type === "checkbox" ? (control.defaultChecked ? "1" : "0") : control.defaultValue;
}

/**
 * Returns the values of controls that differ from the defaults, by the ids of the controls.
 * @param {Control[]} controls
 */
function stateOf(controls) {
  const state = new URLSearchParams();
  for (const control of controls) {
    if (valueOf(control) !== defaultOf(control)) state.set(control.id, valueOf(control));
  }
  return state;
}

/**
 * Sets controls to the values of a state. A control whose value is missing or unknown gets its default.
 * @param {Control[]} controls
 * @param {URLSearchParams} state
 */
function restore(controls, state) {
  for (const control of controls) {
    const value = state.get(control.id) ?? defaultOf(control);
    if (control.type === "checkbox") /** @type {HTMLInputElement} */ (control).checked = value === "1";
    else control.value = value;
    if (control instanceof HTMLSelectElement && control.selectedIndex < 0) control.value = defaultOf(control);
  }
}

/**
 * Reads the data of the page, and shows it.
 * @template T
 * @param {(text: string) => Promise<T>} read
 * @param {(data: T) => object} show
 */
function start(read, show) {
  read(byId("data", HTMLScriptElement).textContent ?? "").then(
    (data) => {
      /** @type {HTMLElement} */ (document.querySelector("main")).hidden = false;
      /** @type {any} */ (globalThis).page = show(data);
      document.documentElement.dataset.ready = String(Math.round(performance.now()));
    },
    (error) => {
      byId("verdict", HTMLElement).textContent = `This browser cannot read the data of the report: ${error}`;
    },
  );
}
