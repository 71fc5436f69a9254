// Capture: the stream of frames that the switch sends as pcapng is kept here
// until the user stops, and is then a file.

import { scaled, el } from "./format.js";

const most = 256 << 20; // bytes that the page keeps

export function showCapture(state, call) {
  const byId = (id) => document.getElementById(id);
  const form = byId("record"), start = byId("c-start"), said = byId("c-state");
  byId("names").replaceChildren(el("option", { value: "all" }), ...state.ports.map((p) => el("option", { value: p.name })));
  let running = null; // an AbortController
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) { running.abort(); return; }
    running = new AbortController();
    start.textContent = "Stop and save";
    start.classList.add("stop");
    said.textContent = "waiting for frames";
    const kept = [];
    let size = 0;
    try {
      const query = new URLSearchParams({ ports: byId("c-ports").value.trim() || "all" });
      if (byId("c-filter").value.trim()) query.set("filter", byId("c-filter").value.trim());
      const reader = (await call("/v1/capture?" + query, { signal: running.signal })).body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        kept.push(value);
        size += value.length;
        said.textContent = scaled(size, "B");
        if (size > most) { running.abort(); break; }
      }
      save(kept, state, said, size);
    } catch (err) {
      if (err.name === "AbortError") save(kept, state, said, size);
      else said.textContent = [err.message, err.hint].filter(Boolean).join("; ");
    }
    running = null;
    start.textContent = "Start capture";
    start.classList.remove("stop");
  });
}

function save(kept, state, said, size) {
  if (!size) { said.textContent = "nothing was captured"; return; }
  const url = URL.createObjectURL(new Blob(kept, { type: "application/x-pcapng" }));
  const name = `${state.info.name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.pcapng`;
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  said.textContent = `${scaled(size, "B")} saved as ${name}`;
}
