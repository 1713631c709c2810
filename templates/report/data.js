// @ts-check
// Reads the data of the page: a gzipped block of text and of columns (see src/render/html/data.rs).
"use strict";

/**
 * A property that samples are grouped by, with the group of each sample.
 * @typedef {{ name: string, names: string[], ofSample: Float64Array }} Grouping
 */

/**
 * The columns of call paths are in depth-first order, so that the callees of a path follow it.
 * @typedef {object} Data
 * @property {any} meta  texts, facts and verdict
 * @property {Float64Array} caller  by path: the path of the caller, or -1
 * @property {Float64Array} functions  by path: its function
 * @property {Float64Array} inlined  by path: 1 if all of its calls were inlined
 * @property {Float64Array} leaf  by sample: the path of its leaf, or -1
 * @property {Float64Array} weight  by sample, of the shown event
 * @property {Float64Array[]} weightOfEvent  by event and sample; empty if there is one event
 * @property {Grouping[]} groupings
 * @property {Float64Array | null} time  by moment: nanoseconds since the first one
 * @property {Float64Array | null} sampleOfMoment
 * @property {Float64Array | null} weightOfMoment
 * @property {Timeline | null} timeline
 */

/**
 * @param {string} text  base64
 * @returns {Promise<{ meta: any, columns: Record<string, Float64Array> }>}
 */
async function unpack(text) {
  const zipped = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const meta = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  let at = 4 + length;
  /** @type {Record<string, Float64Array>} */
  const columns = {};
  for (const [name, count] of meta.columns) {
    const column = new Float64Array(count);
    for (let row = 0; row < count; row++) {
      let value = 0;
      let scale = 1;
      let byte;
      do {
        byte = bytes[at++];
        value += (byte & 127) * scale;
        scale *= 128;
      } while (byte > 127);
      column[row] = value;
    }
    columns[name] = column;
  }
  return { meta, columns };
}

/**
 * @param {string} text  base64
 * @returns {Promise<Data>}
 */
async function readData(text) {
  const { meta, columns } = await unpack(text);
  const less1 = (/** @type {Float64Array} */ column) => column.map((value) => value - 1);
  const { weight, time = null } = columns;
  if (time) {
    for (let moment = 1; moment < time.length; moment++) time[moment] += time[moment - 1];
  }
  return {
    meta,
    caller: callers(columns.depth),
    functions: columns.function,
    inlined: columns.inlined,
    leaf: less1(columns.leaf),
    weight,
    weightOfEvent: (meta.events ?? []).map((/** @type {any} */ _, /** @type {number} */ index) => columns[`weight of event ${index}`]),
    groupings: meta.groupings.map((/** @type {any} */ grouping, /** @type {number} */ index) => ({
      ...grouping,
      ofSample: columns[`group ${index}`],
    })),
    time,
    sampleOfMoment: columns["sample of moment"] ?? null,
    weightOfMoment: columns["weight of moment"] ?? null,
    timeline: readTimeline(meta.timeline, columns),
  };
}

/**
 * Returns the caller of each path, from the depths in depth-first order.
 * @param {Float64Array} depths
 */
function callers(depths) {
  const caller = new Float64Array(depths.length);
  /** @type {number[]} */
  const open = [];
  for (let path = 0; path < depths.length; path++) {
    const depth = depths[path];
    caller[path] = depth > 0 ? open[depth - 1] : -1;
    open[depth] = path;
  }
  return caller;
}

/**
 * Returns the weight of each sample within a range of time, in nanoseconds since the first sample. Null is all of the time.
 * @param {Data} data
 * @param {[number, number] | null} range
 */
function weightsIn(data, range) {
  const { time, sampleOfMoment, weightOfMoment } = data;
  if (!range || !time || !sampleOfMoment || !weightOfMoment) return data.weight;
  const weights = new Float64Array(data.weight.length);
  for (let moment = 0; moment < time.length; moment++) {
    if (time[moment] >= range[0] && time[moment] < range[1]) weights[sampleOfMoment[moment]] += weightOfMoment[moment];
  }
  return weights;
}
