// Functions that run in the measured pages. A time ends when the browser has drawn the frame.

/** Stores in `globalThis.opened` when the first frame with the whole profile has been drawn, in milliseconds. */
export function watchOpening() {
  // Speedscope changes its title when it has read the profile. The other pages set `data-ready`.
  const isReady = () => document.documentElement?.dataset.ready || document.title.endsWith(" - speedscope");
  const afterFrame = (done) =>
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = done;
      port2.postMessage(0);
    });
  globalThis.nextFrame = () => new Promise(afterFrame);
  const observer = new MutationObserver(() => {
    if (!isReady()) return;
    observer.disconnect();
    // Speedscope draws a frame after it has changed its title.
    const end = () => (globalThis.opened = performance.now());
    afterFrame(document.documentElement.dataset.ready ? end : () => afterFrame(end));
  });
  observer.observe(document, { attributes: true, childList: true, subtree: true });
}

/** Zooms and searches, if the page has functions for it. Returns the times in milliseconds. */
export async function interact() {
  const { page, zoom, search, chart, nextFrame } = globalThis;
  const texts = ["method1", "Type7", "pkg3\\.", "mod1[0-9]/", "no such name"];
  const timed = async (action) => {
    await nextFrame();
    await nextFrame();
    const start = performance.now();
    action();
    await nextFrame();
    return performance.now() - start;
  };
  const each = async (values, action) => {
    const times = [];
    for (const value of values) times.push(await timed(() => action(value)));
    return times;
  };
  if (page) {
    const { graph } = page;
    const field = document.getElementById("search");
    // Zooms along the heaviest path, at most 11 calls deep, and back to the root.
    const path = [0];
    for (let node = 0; node >= 0 && path.length < 12; ) {
      let heaviest = -1;
      for (let callee = node + 1; callee < graph.tree.end[node]; callee = graph.tree.end[callee]) {
        if (heaviest < 0 || graph.tree.total[callee] > graph.tree.total[heaviest]) heaviest = callee;
      }
      node = heaviest;
      if (node >= 0) path.push(node);
    }
    const click = (node) => {
      const { left, width } = graph.box(node);
      const area = graph.canvas.getBoundingClientRect();
      const [clientX, clientY] = [area.left + (left + width / 2) * area.width, area.top + (graph.tree.depth[node] + 0.5) * 20 - graph.scroller.scrollTop];
      for (const type of ["mousemove", "click"]) graph.canvas.dispatchEvent(new MouseEvent(type, { clientX, clientY, bubbles: true }));
    };
    return {
      zoom: await each([...path.slice(1), ...path.reverse()], click),
      search: await each([...texts, ""], (text) => {
        field.value = text;
        field.dispatchEvent(new InputEvent("input"));
      }),
    };
  }
  // A search in d3-flame-graph takes seconds, so one search is enough.
  if (chart) return { search: await each(texts.slice(0, 1), (text) => chart.search(text)) };
  if (zoom) return { zoom: await each([1, 2, 3, 5, 8, 5, 3, 2, 1, 0], zoom), search: await each(texts, search) };
  return {};
}
