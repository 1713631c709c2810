// @ts-check
// The call tree as text, for keyboards and screen readers: the tree pattern of ARIA.
"use strict";

/** Maximum number of listed callees of a node. The heaviest are listed. */
const MAX_CALLEES = 50;

class TextTree {
  /**
   * @param {HTMLElement} root
   * @param {(node: number) => string} describe  share and name of a node
   */
  constructor(root, describe) {
    this.root = root;
    this.describe = describe;
    /** @type {Tree | null} */
    this.tree = null;
    root.addEventListener("keydown", (event) => this.onKey(event));
    root.addEventListener("click", (event) => {
      const item = /** @type {HTMLElement} */ (event.target).closest("li");
      if (!item) return;
      this.toggle(item);
      this.focus(item);
    });
  }

  /** @param {Tree} tree */
  show(tree) {
    this.tree = tree;
    this.root.replaceChildren(this.item(0, 1, 1, 1));
    const first = /** @type {HTMLElement} */ (this.root.firstElementChild);
    first.tabIndex = 0;
    this.open(first);
  }

  /**
   * @param {number} node
   * @param {number} level
   * @param {number} position
   * @param {number} siblings
   */
  item(node, level, position, siblings) {
    const tree = /** @type {Tree} */ (this.tree);
    const item = document.createElement("li");
    item.setAttribute("role", "treeitem");
    item.setAttribute("aria-level", String(level));
    item.setAttribute("aria-posinset", String(position));
    item.setAttribute("aria-setsize", String(siblings));
    item.tabIndex = -1;
    item.dataset.node = String(node);
    if (tree.end[node] > node + 1) item.setAttribute("aria-expanded", "false");
    const row = document.createElement("span");
    row.className = "row";
    row.textContent = this.describe(node);
    item.setAttribute("aria-label", row.textContent);
    item.append(row);
    return item;
  }

  /** @param {HTMLElement} item */
  open(item) {
    if (item.getAttribute("aria-expanded") !== "false") return;
    const tree = /** @type {Tree} */ (this.tree);
    const level = Number(item.getAttribute("aria-level")) + 1;
    const callees = calleesOf(tree, Number(item.dataset.node)).sort((a, b) => tree.total[b] - tree.total[a]);
    const group = document.createElement("ul");
    group.setAttribute("role", "group");
    group.append(...callees.slice(0, MAX_CALLEES).map((callee, at) => this.item(callee, level, at + 1, callees.length)));
    item.append(group);
    item.setAttribute("aria-expanded", "true");
  }

  /** @param {HTMLElement} item */
  close(item) {
    if (item.getAttribute("aria-expanded") !== "true") return;
    item.querySelector("ul")?.remove();
    item.setAttribute("aria-expanded", "false");
  }

  /** @param {HTMLElement} item */
  toggle(item) {
    if (item.getAttribute("aria-expanded") === "true") this.close(item);
    else this.open(item);
  }

  /** @param {Element | null | undefined} item */
  focus(item) {
    if (!(item instanceof HTMLElement)) return;
    for (const old of this.root.querySelectorAll("li[tabindex='0']")) /** @type {HTMLElement} */ (old).tabIndex = -1;
    item.tabIndex = 0;
    item.focus();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const item = /** @type {HTMLElement} */ (event.target).closest("li");
    if (!item) return;
    const items = [...this.root.querySelectorAll("li")];
    const at = items.indexOf(item);
    const outer = item.parentElement?.closest("li");
    switch (event.key) {
      case "ArrowDown":
        this.focus(items[at + 1]);
        break;
      case "ArrowUp":
        this.focus(items[at - 1]);
        break;
      case "ArrowRight":
        if (item.getAttribute("aria-expanded") === "false") this.open(item);
        else this.focus(item.querySelector("li"));
        break;
      case "ArrowLeft":
        if (item.getAttribute("aria-expanded") === "true") this.close(item);
        else this.focus(outer);
        break;
      case "Home":
        this.focus(items[0]);
        break;
      case "End":
        this.focus(items[items.length - 1]);
        break;
      case "Enter":
      case " ":
        this.toggle(item);
        break;
      default:
        return;
    }
    event.preventDefault();
  }
}
