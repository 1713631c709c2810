// A profile that is hard for a page: a call tree with many nodes, most of which have self samples.
import { closeSync, openSync, writeSync } from "node:fs";

const FUNCTION_COUNT = 2000;

/** Returns a generator of random numbers from 0 to 1, which are the same in each run (mulberry32). */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Returns the nodes of a call tree in depth-first order: depth, function and self samples of each. All callees of a node are
 * different functions. The leaves are 50 to 62 calls deep.
 */
export function syntheticTree(nodes, stacks) {
  const random = randomNumbers(7);
  const tree = { depth: [], function: [], self: new Array(nodes).fill(0) };
  /** By depth: the functions at this depth that the current node above calls. */
  const called = [new Set()];
  for (let depth = 0; tree.depth.length < nodes; ) {
    const deepest = Math.round(50 + 12 * random());
    do {
      let one;
      do one = Math.floor(random() * FUNCTION_COUNT);
      while (called[depth].has(one));
      called[depth].add(one);
      tree.depth.push(depth);
      tree.function.push(one);
      depth++;
      called[depth] = new Set();
    } while (depth < deepest && tree.depth.length < nodes);
    // Most branches are near the leaves.
    depth = Math.max(depth - 1 - Math.floor(random() ** 8 * depth), 0);
  }
  const leaf = (node) => node + 1 === nodes || tree.depth[node + 1] <= tree.depth[node];
  const [leaves, others] = [[], []];
  for (let node = 0; node < nodes; node++) (leaf(node) ? leaves : others).push(node);
  for (let at = others.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [others[at], others[other]] = [others[other], others[at]];
  }
  for (const node of [...leaves, ...others].slice(0, stacks)) tree.self[node] = 1 + Math.floor(-2 * Math.log(1 - random()));
  return tree;
}

/** The name of each function. */
export const names = Array.from({ length: FUNCTION_COUNT }, (_, at) => `example.com/mod${at % 80}/pkg${at % 13}.(*Type${at % 31}).method${at}`);

/** Writes the tree as folded stacks. Returns the number of stacks. */
export function writeFolded(tree, path) {
  const file = openSync(path, "w");
  const open = ["app"];
  let lines = [];
  let count = 0;
  tree.depth.forEach((depth, node) => {
    open.length = depth + 1;
    open.push(names[tree.function[node]]);
    if (tree.self[node] > 0) lines.push(`${open.join(";")} ${tree.self[node]}\n`), count++;
    if (lines.length > 2000 || node + 1 === tree.depth.length) {
      writeSync(file, lines.join(""));
      lines = [];
    }
  });
  closeSync(file);
  return count;
}

/** Returns the tree as nested nodes with cumulative weights, for d3-flame-graph. */
export function nested(tree) {
  const root = { name: "app", value: 0, children: [] };
  const open = [root];
  tree.depth.forEach((depth, node) => {
    const one = { name: names[tree.function[node]], value: 0, children: [] };
    open[depth].children.push(one);
    open[depth + 1] = one;
    for (let at = 0; at <= depth + 1; at++) open[at].value += tree.self[node];
  });
  return root;
}
