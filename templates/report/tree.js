// @ts-check
// The call trees that the page shows: from the roots, from the leaves, and around one function.
"use strict";

/**
 * A call tree in depth-first order: the callees of a node follow it, up to its end.
 * @typedef {object} Tree
 * @property {number[]} label  by node: index into the labels, or -1 for the root
 * @property {number[]} parent  by node: its caller, or -1 for the root
 * @property {number[]} depth
 * @property {number[]} end  by node: the first node that is not below it
 * @property {number[]} total  cumulative weight
 * @property {number[]} self
 * @property {number[]} start  by node: weight to the left of the node
 * @property {boolean[]} inlined
 * @property {number[]} source  by node: its index before the nodes were sorted
 * @property {string[]} labels
 * @property {number[]} functionOf  by label: a function with its file and origin, or -1 for a group
 * @property {number} height
 */

/**
 * @typedef {object} TreeOptions
 * @property {Set<string>} hidden  origins whose frames are left out
 * @property {boolean} inlined
 * @property {boolean} recursion
 * @property {boolean} packages
 * @property {number} grouping  -1 for none
 */

/** Collects the nodes of a tree. They are not sorted, but each comes after its parent. */
class Nodes {
  constructor() {
    /** @type {number[]} */
    this.label = [-1];
    /** @type {number[]} */
    this.parent = [-1];
    /** @type {number[]} */
    this.self = [0];
    /** @type {boolean[]} */
    this.inlined = [false];
  }

  /**
   * @param {number} parent
   * @param {number} label
   */
  add(parent, label) {
    this.inlined.push(true);
    this.self.push(0);
    this.parent.push(parent);
    return this.label.push(label) - 1;
  }

  /**
   * Returns the tree of the nodes that have weight. Siblings are sorted by name.
   * @param {string[]} labels
   * @param {number[]} functionOf
   * @returns {Tree}
   */
  toTree(labels, functionOf) {
    const count = this.label.length;
    const total = this.self.slice();
    for (let node = count - 1; node > 0; node--) total[this.parent[node]] += total[node];
    const byName = labels.map((_, label) => label).sort((a, b) => (labels[a] < labels[b] ? -1 : labels[a] > labels[b] ? 1 : a - b));
    // Linked lists: first the nodes of each label, then the callees of each node, the last one by name first. -1 ends a list.
    const firstOf = new Int32Array(labels.length).fill(-1);
    const firstCallee = new Int32Array(count).fill(-1);
    const next = new Int32Array(count);
    for (let node = 1; node < count; node++) {
      if (total[node] === 0) continue;
      next[node] = firstOf[this.label[node]];
      firstOf[this.label[node]] = node;
    }
    for (const label of byName) {
      for (let node = firstOf[label]; node >= 0; ) {
        const same = next[node];
        next[node] = firstCallee[this.parent[node]];
        firstCallee[this.parent[node]] = node;
        node = same;
      }
    }
    /** @type {Tree} */
    const tree = { label: [], parent: [], depth: [], end: [], total: [], self: [], start: [], inlined: [], source: [], labels, functionOf, height: 0 };
    // By node: its index in the tree, and where its next callee starts.
    const indexes = new Int32Array(count);
    const nextStart = new Float64Array(count);
    const pending = [0];
    while (pending.length > 0) {
      const node = /** @type {number} */ (pending.pop());
      const at = tree.label.push(this.label[node]) - 1;
      const parent = node > 0 ? indexes[this.parent[node]] : -1;
      const depth = node > 0 ? tree.depth[parent] + 1 : 0;
      indexes[node] = at;
      tree.parent.push(parent);
      tree.depth.push(depth);
      tree.end.push(at + 1);
      tree.total.push(total[node]);
      tree.self.push(this.self[node]);
      if (node > 0) {
        nextStart[node] = nextStart[this.parent[node]];
        nextStart[this.parent[node]] += total[node];
      }
      tree.start.push(nextStart[node]);
      tree.source.push(node);
      tree.inlined.push(this.inlined[node] && node > 0 && functionOf[this.label[node]] >= 0);
      tree.height = Math.max(tree.height, depth + 1);
      for (let callee = firstCallee[node]; callee >= 0; callee = next[callee]) pending.push(callee);
    }
    for (let node = tree.label.length - 1; node > 0; node--) {
      const parent = tree.parent[node];
      tree.end[parent] = Math.max(tree.end[parent], tree.end[node]);
    }
    return tree;
  }
}

/**
 * Returns the call tree from the roots.
 * @param {Data} data
 * @param {Float64Array} weights  by sample
 * @param {TreeOptions} options
 */
function rootTree(data, weights, options) {
  const { functions, packages } = data.meta;
  const labels = options.packages ? packages.slice() : functions.map((/** @type {any} */ one) => one.name);
  const functionOf = labels.map((/** @type {string} */ _, /** @type {number} */ label) => label);
  if (options.packages) {
    functions.forEach((/** @type {any} */ one, /** @type {number} */ at) => (functionOf[one.package] = at));
  }
  const grouping = data.groupings[options.grouping];
  const firstGroup = labels.length;
  if (grouping) {
    labels.push(...grouping.names);
    functionOf.push(...grouping.names.map(() => -1));
  }
  const labelOf = functions.map((/** @type {any} */ one, /** @type {number} */ at) => {
    if (options.hidden.has(one.origin)) return -1;
    return options.packages ? one.package : at;
  });
  const nodes = new Nodes();
  /** @type {Map<number, number>} */
  const callees = new Map();
  const step = (/** @type {number} */ node, /** @type {number} */ label) => {
    const key = node * labels.length + label;
    let callee = callees.get(key);
    if (callee === undefined) {
      callee = nodes.add(node, label);
      callees.set(key, callee);
    }
    return callee;
  };
  // By path plus 1 (0: no path): its node in the current group, and the last group in which it has a node.
  const nodeAt = new Int32Array(data.caller.length + 1);
  const groupAt = new Int32Array(data.caller.length + 1).fill(-1);
  const nodeOf = (/** @type {number} */ group, /** @type {number} */ leaf) => {
    const open = [];
    let path = leaf;
    while (groupAt[path + 1] !== group && path >= 0) {
      open.push(path);
      path = data.caller[path];
    }
    if (groupAt[path + 1] !== group) {
      nodeAt[0] = grouping ? step(0, firstGroup + group) : 0;
      groupAt[0] = group;
    }
    let node = nodeAt[path + 1];
    while (open.length > 0) {
      path = /** @type {number} */ (open.pop());
      const label = labelOf[data.functions[path]];
      const isHidden = label < 0 || (!options.inlined && data.inlined[path] === 1);
      const repeats = (!options.recursion || options.packages) && nodes.label[node] === label;
      if (!isHidden && !repeats) {
        node = step(node, label);
        if (data.inlined[path] === 0) nodes.inlined[node] = false;
      }
      nodeAt[path + 1] = node;
      groupAt[path + 1] = group;
    }
    return node;
  };
  const samples = Uint32Array.from(weights.keys());
  if (grouping) samples.sort((a, b) => grouping.ofSample[a] - grouping.ofSample[b]);
  for (const sample of samples) {
    if (weights[sample] > 0) nodes.self[nodeOf(grouping ? grouping.ofSample[sample] : 0, data.leaf[sample])] += weights[sample];
  }
  return nodes.toTree(labels, functionOf);
}

/** Nodes with less than this share of the total are not expanded: they are narrower than half a pixel. */
const MIN_EXPANDED_SHARE = 1 / 4000;

/**
 * Builds a tree from another tree. Each new node stands for a set of old nodes with the same label. `step` returns the nodes
 * that follow an old node, with their weights.
 * @param {Tree} tree
 * @param {[number, number][]} start  nodes of `tree` with their weights
 * @param {(node: number, weight: number) => [number, number][]} step
 */
function mergedTree(tree, start, step) {
  const nodes = new Nodes();
  const whole = start.reduce((sum, [, weight]) => sum + weight, 0);
  /** @type {[number, [number, number][]][]} */
  const pending = [[0, start]];
  while (pending.length > 0) {
    const [parent, entries] = /** @type {[number, [number, number][]]} */ (pending.pop());
    /** @type {Map<number, [number, number][]>} */
    const byLabel = new Map();
    for (const entry of entries) {
      const label = tree.label[entry[0]];
      const same = byLabel.get(label);
      if (same) same.push(entry);
      else byLabel.set(label, [entry]);
    }
    for (const [label, same] of byLabel) {
      const node = nodes.add(parent, label);
      const weight = same.reduce((sum, entry) => sum + entry[1], 0);
      nodes.inlined[node] = same.every(([at]) => tree.inlined[at]);
      const next = weight < whole * MIN_EXPANDED_SHARE ? [] : same.flatMap(([at, part]) => step(at, part));
      nodes.self[node] = Math.max(0, weight - next.reduce((sum, entry) => sum + entry[1], 0));
      if (next.length > 0) pending.push([node, next]);
    }
  }
  return nodes.toTree(tree.labels, tree.functionOf);
}

/**
 * Returns the inverted tree: the leaves are the roots, and callers are below them.
 * @param {Tree} tree
 */
function invertedTree(tree) {
  /** @type {[number, number][]} */
  const leaves = [];
  for (let node = 1; node < tree.label.length; node++) {
    if (tree.self[node] > 0) leaves.push([node, tree.self[node]]);
  }
  return mergedTree(tree, leaves, (node, weight) => callerOf(tree, node, weight));
}

/**
 * @param {Tree} tree
 * @param {number} node
 * @param {number} weight
 * @returns {[number, number][]}
 */
function callerOf(tree, node, weight) {
  const parent = tree.parent[node];
  return parent > 0 ? [[parent, weight]] : [];
}

/**
 * Returns a tree of the callers of a function, and a tree of its callees. Recursion counts once.
 * @param {Tree} tree
 * @param {number} label
 */
function sandwich(tree, label) {
  /** @type {[number, number][]} */
  const outermost = [];
  for (let node = 1; node < tree.label.length; node++) {
    if (tree.label[node] === label) {
      outermost.push([node, tree.total[node]]);
      node = tree.end[node] - 1;
    }
  }
  return {
    callers: mergedTree(tree, outermost, (node, weight) => callerOf(tree, node, weight)),
    callees: mergedTree(tree, outermost, (node) => calleesOf(tree, node).map((callee) => [callee, tree.total[callee]])),
  };
}

/**
 * @param {Tree} tree
 * @param {number} node
 */
function calleesOf(tree, node) {
  const callees = [];
  for (let callee = node + 1; callee < tree.end[node]; callee = tree.end[callee]) callees.push(callee);
  return callees;
}

/**
 * Returns the self and cumulative weight of each label. Recursion counts once.
 * @param {Tree} tree
 */
function labelWeights(tree) {
  const self = new Float64Array(tree.labels.length);
  const total = new Float64Array(tree.labels.length);
  /** By label: the end of the last outermost node with this label. */
  const open = new Float64Array(tree.labels.length);
  for (let node = 1; node < tree.label.length; node++) {
    const label = tree.label[node];
    self[label] += tree.self[node];
    if (node >= open[label]) {
      total[label] += tree.total[node];
      open[label] = tree.end[node];
    }
  }
  return { self, total };
}

/**
 * Returns the names from the root to a node.
 * @param {Tree} tree
 * @param {number} node
 */
function pathOf(tree, node) {
  const names = [];
  for (let at = node; at > 0; at = tree.parent[at]) names.unshift(tree.labels[tree.label[at]]);
  return names;
}

/**
 * Returns the node with these names from the root, or -1.
 * @param {Tree} tree
 * @param {string[]} names
 */
function findPath(tree, names) {
  let node = 0;
  for (const name of names) {
    const next = calleesOf(tree, node).find((callee) => tree.labels[tree.label[callee]] === name);
    if (next === undefined) return -1;
    node = next;
  }
  return node;
}
