// Tables: ports, drops, addresses, events. Rows of ports are kept and only
// their numbers are written anew, so that a selection survives.

import { vlanColor } from "./draw.js";
import { bits, count, cut, el, frames, home, isBare, peerMore, peerName, scaled, spark, sum, svg, treeNote } from "./format.js";

const maxRows = 250; // of ports at once; the filter finds the others
const rows = new Map(); // port number -> {tr, cells ...}
let sortBy = "name", sortUp = false, toFDB = () => {};

export function startPorts(state, showAddresses) {
  toFDB = showAddresses;
  const table = document.getElementById("ports");
  table.tBodies[0].replaceChildren();
  rows.clear();
  for (const th of table.tHead.rows[0].cells) {
    th.addEventListener("click", () => {
      sortUp = sortBy === th.dataset.sort && !sortUp;
      sortBy = th.dataset.sort;
      showPorts(state);
    });
  }
  document.getElementById("filter").addEventListener("input", () => showPorts(state));
  showPorts(state);
}

const sorters = {
  name: (p) => p.id, peer: (p) => peerName(p), vlan: (p) => home(p),
  in: (p, r) => r ? -r.in : 0, out: (p, r) => r ? -r.out : 0,
  drops: (p) => -sum(p.drops), queue: (p) => -p.queue, macs: (p) => -p.macs,
};

export function showPorts(state) {
  if (!document.body.classList.contains("live")) return; // the first view stands
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const now = new Map(state.stats.ports.map((p) => [p.id, p]));
  let list = state.ports.filter((p) => now.has(p.id)).map((p) => ({ ...p, ...now.get(p.id) }));
  const all = list.length;
  list = list.filter((p) => {
    const text = `${p.id} ${p.name} ${p.kind} ${p.state} ${treeNote(p)} vlan ${home(p)} vlan${home(p)} ${peerName(p)} ${peerMore(p)}`.toLowerCase();
    return words.every((w) => text.includes(w));
  });
  const key = (p) => sorters[sortBy](p, state.rates.get(p.id));
  const turned = sortUp ? -1 : 1;
  list.sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * turned || a.id - b.id; });
  for (const th of document.querySelectorAll("#ports thead th")) {
    th.classList.toggle("sorted", th.dataset.sort === sortBy);
    th.classList.toggle("up", sortUp);
  }
  const shown = list.slice(0, maxRows);
  const keep = new Set(shown.map((p) => p.id));
  for (const [id, row] of rows) if (!keep.has(id)) { row.tr.remove(); rows.delete(id); }
  const body = document.querySelector("#ports tbody");
  shown.forEach((p, i) => {
    if (!rows.has(p.id)) rows.set(p.id, newRow(p));
    const row = rows.get(p.id);
    if (body.rows[i] !== row.tr) body.insertBefore(row.tr, body.rows[i] || null);
    write(row, p, state);
  });
  const note = document.getElementById("hidden");
  note.textContent = !all ? "No port yet: plug something in." : !list.length ? "No port matches." :
    list.length > shown.length ? `${shown.length} of ${list.length} ports shown; use the filter to find others.` : "";
}

function newRow(p) {
  const row = { in: el("b"), out: el("b"), sparkIn: sparkline(), sparkOut: sparkline() };
  row.cells = Array.from({ length: 7 }, (_, i) => el("td", i > 1 ? { class: "n" } : {}));
  row.head = el("th", { scope: "row" });
  row.cells[2].append(el("span", { class: "rate" }, row.sparkIn, row.in));
  row.cells[3].append(el("span", { class: "rate" }, row.sparkOut, row.out));
  row.tr = el("tr", {}, row.head, ...row.cells);
  return row;
}

const sparkline = () => svg("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" });

function write(row, p, state) {
  const [peer, vlan, into, out, drops, queue, macs] = row.cells;
  const fixed = JSON.stringify([p.name, p.state, p.reason, p.peer, p.pvid, p.native, p.tagged, p.mirror, p.isolated, treeNote(p)]);
  if (row.fixed !== fixed) {
    row.fixed = fixed;
    row.tr.className = p.state;
    row.head.replaceChildren(el("i", { class: "dot", title: p.state }), el("span", { class: "id" }, p.id), " " + p.name);
    if (p.state !== "up") row.head.append(" ", el("small", { title: p.reason || "" }, p.state));
    if (treeNote(p)) row.head.append(" ", el("small", {}, treeNote(p)));
    row.head.title = p.spec;
    peer.replaceChildren(peerName(p), " ", el("small", {}, peerMore(p)));
    const tags = p.tagged === "none" ? [] : [" ", el("small", {}, p.tagged === "all" ? "+ all" : "+ " + cut(p.tagged, 18))];
    const more = [p.isolated && "isolated", p.mirror !== "none" && "mirror"].filter(Boolean).map((w) => el("small", {}, " " + w));
    vlan.replaceChildren(el("span", { class: "chip " + vlanColor(p.pvid) }, home(p) || "none", isBare(p) || !home(p) ? "" : " tagged"), ...tags, ...more);
  }
  const rate = state.rates.get(p.id), past = state.past.get(p.id) || [];
  const color = vlanColor(p.pvid), top = Math.max(...past.map((v) => Math.max(v.in, v.out)), 0);
  row.in.textContent = rate ? bits(rate.in) : "–";
  row.out.textContent = rate ? bits(rate.out) : "–";
  for (const [node, key] of [[row.sparkIn, "in"], [row.sparkOut, "out"]]) {
    node.setAttribute("class", "spark " + color);
    spark(node, past.map((v) => v[key]), top);
  }
  into.title = `${count(p.rx.frames)} frames, ${count(p.rx.bytes)} bytes` + (rate ? `, ${frames(rate.inFrames)} frames/s` : "");
  out.title = `${count(p.tx.frames)} frames, ${count(p.tx.bytes)} bytes` + (rate ? `, ${frames(rate.outFrames)} frames/s` : "");
  drops.textContent = count(sum(p.drops));
  drops.classList.toggle("some", Boolean(rate && rate.drops > 0));
  drops.title = Object.entries(p.drops).map(([reason, n]) => `${reason} ${count(n)}`).join(", ");
  queue.textContent = p.queue;
  macs.replaceChildren();
  if (p.macs) {
    const button = el("button", { class: "small", type: "button", title: "show these addresses" }, p.macs);
    button.addEventListener("click", () => toFDB(p.name));
    macs.append(button);
  } else macs.append("0");
}

let dropsBefore = null;

export function showDrops(table, state) {
  const { stats } = state;
  const list = Object.entries(stats.totals.drops).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const most = list.length ? list[0][1] : 1;
  const seconds = dropsBefore && dropsBefore.life === stats.life ? (stats.monotonic_ns - dropsBefore.monotonic_ns) / 1e9 : 0;
  const body = list.map(([reason, n]) => {
    const at = stats.ports.filter((p) => p.drops[reason]).sort((a, b) => b.drops[reason] - a.drops[reason]);
    const rate = seconds > 0 ? (n - (dropsBefore.totals.drops[reason] || 0)) / seconds : 0;
    const bar = el("i");
    bar.style.width = 100 * n / most + "%";
    return el("tr", {},
      el("th", { scope: "row" }, reason, " ", el("small", {}, "at " + at.slice(0, 3).map((p) => p.name).join(", ") + (at.length > 3 ? ` and ${at.length - 3} more` : "")),
        el("p", {}, stats.reasons[reason] || ""), el("span", { class: "bar" }, bar)),
      el("td", { class: "n" }, count(n), el("small", {}, rate > 0 ? frames(rate) + "/s" : "")));
  });
  dropsBefore = stats;
  table.tBodies[0].replaceChildren(...(body.length ? body : [el("tr", {}, el("td", {}, "No frame was dropped."))]));
}

const maxFound = 200, maxFetched = 20000;

export function startFDB(state, ask) {
  const form = document.getElementById("find"), note = document.getElementById("found");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      showFound(await find(document.getElementById("what").value.trim(), state, ask));
    } catch (err) {
      showFound([]);
      note.textContent = err.message;
    }
  });
  form.requestSubmit();
}

// find reads what was typed: a whole address, vlan N, a port, or part of an
// address, for which all of them must be looked at.
async function find(text, state, ask) {
  const hex = text.toLowerCase().replace(/[:.\- ]/g, "");
  const vlan = /^vlan\s*(\d+)$/i.exec(text);
  if (vlan) return (await ask("/v1/fdb?vlan=" + vlan[1])).entries;
  if (state.ports.some((p) => p.name === text || String(p.id) === text)) return (await ask("/v1/fdb?port=" + encodeURIComponent(text))).entries;
  if (/^[0-9a-f]{12}$/.test(hex)) return (await ask("/v1/fdb?mac=" + hex.match(/../g).join(":"))).entries;
  if (text && !/^[0-9a-f]+$/.test(hex)) throw new Error("No port has this name; an address has digits and a to f.");
  if (state.stats.fdb.entries > maxFetched) throw new Error(`${count(state.stats.fdb.entries)} addresses are known: give a whole address, a port or a VLAN.`);
  return (await ask("/v1/fdb")).entries.filter((e) => e.mac.replaceAll(":", "").includes(hex));
}

function showFound(list) {
  const seen = (e) => e.static ? "static" : e.age_seconds < 1 ? "now" : e.age_seconds + " s ago";
  document.querySelector("#fdb tbody").replaceChildren(...list.slice(0, maxFound).map((e) => el("tr", {},
    el("td", {}, e.mac), el("td", { class: "n" }, el("span", { class: "chip " + vlanColor(e.vlan) }, e.vlan)), el("td", {}, e.port_name), el("td", { class: "n" }, seen(e)))));
  document.getElementById("found").textContent = !list.length ? "None." : list.length > maxFound ? `${maxFound} of ${count(list.length)} shown.` : `${list.length} found.`;
}

export function showEvents(list, state) {
  list.replaceChildren(...state.events.map((e) => el("li", {},
    el("time", { datetime: e.time, title: e.time }, new Date(e.time).toLocaleTimeString([], { hour12: false })),
    el("em", {}, e.type), el("span", {}, [e.name, e.text].filter(Boolean).join(": ")))));
}
