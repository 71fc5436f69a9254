// The page: it asks the switch's API once a second and shows what it says.
//
//   token -> info, ports -> stats every second -> rates -> picture, tables
//
// Ports and settings are asked for again when an event says that they changed.

import { draw, flow } from "./draw.js";
import { showCapture } from "./capture.js";
import { bits, count, duration, frames, scaled, spark, sum } from "./format.js";
import { showDrops, showEvents, showPorts, startFDB, startPorts } from "./tables.js";

const history60 = 60; // readings in a sparkline
const $ = (id) => document.getElementById(id);

// What the page knows. Rates are per second.
const state = {
  info: null, ports: [], stats: null,
  rates: new Map(),   // port number -> {in, out: bit/s, inFrames, outFrames, drops}
  past: new Map(),    // port number -> [bit/s in + out]
  total: null, totalPast: [],
  events: [], seq: 0,
};

const token = takeToken();

// takeToken gets the token out of the address line, where it could be seen,
// into the storage of this tab.
function takeToken() {
  const given = new URLSearchParams(location.search).get("token") || new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", "/");
  }
  return sessionStorage.getItem("token");
}

// call asks the API; its errors have the API's words.
export async function call(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { Authorization: "Bearer " + token }, cache: "no-store", credentials: "omit" });
  if (answer.ok) return answer;
  let error = { message: answer.statusText };
  try { error = (await answer.json()).error; } catch { /* not the API's */ }
  throw Object.assign(new Error(error.message), { hint: error.hint, status: answer.status });
}

export const ask = async (path, options) => (await call(path, options)).json();

async function readPorts() {
  const [info, list] = await Promise.all([ask("/v1/info"), ask("/v1/ports")]);
  if (state.info && state.info.life !== info.life) {
    Object.assign(state, { stats: null, events: [], seq: 0 });
    state.rates.clear(); state.past.clear(); state.totalPast = [];
  }
  state.info = info;
  state.ports = list.ports;
  if (!state.seq) state.seq = Math.max(0, info.event_seq - 30);
}

// readEvents tells whether something happened.
async function readEvents() {
  const text = await (await call(`/v1/events?since=${state.seq}&life=${state.info.life}`)).text();
  const fresh = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (!fresh.length) return false;
  state.seq = fresh[fresh.length - 1].seq;
  state.events = [...fresh.reverse(), ...state.events].slice(0, 60);
  return true;
}

function readRates(next) {
  const last = state.stats;
  state.stats = next;
  const seconds = last && last.life === next.life ? (next.monotonic_ns - last.monotonic_ns) / 1e9 : 0;
  const before = new Map(seconds > 0 ? last.ports.map((p) => [p.id, p]) : []);
  const total = { in: 0, out: 0, inFrames: 0, outFrames: 0, drops: 0 };
  const there = new Set();
  for (const p of next.ports) {
    there.add(p.id);
    const old = before.get(p.id);
    if (!old || p.rx.frames < old.rx.frames || p.tx.frames < old.tx.frames) { state.rates.delete(p.id); continue; }
    const rate = {
      in: 8 * (p.rx.bytes - old.rx.bytes) / seconds, out: 8 * (p.tx.bytes - old.tx.bytes) / seconds,
      inFrames: (p.rx.frames - old.rx.frames) / seconds, outFrames: (p.tx.frames - old.tx.frames) / seconds,
      drops: (sum(p.drops) - sum(old.drops)) / seconds,
    };
    state.rates.set(p.id, rate);
    for (const key in total) total[key] += rate[key];
    push(state.past, p.id, { in: rate.in, out: rate.out });
  }
  for (const id of state.past.keys()) if (!there.has(id)) { state.past.delete(id); state.rates.delete(id); }
  if (seconds > 0) {
    state.total = total;
    state.totalPast = [...state.totalPast, total.in].slice(-history60);
  }
}

function push(map, key, value) {
  const list = map.get(key) || [];
  list.push(value);
  if (list.length > history60) list.shift();
  map.set(key, list);
}

function showTotals() {
  const { info, stats, total } = state;
  document.title = info.name + " · vswitch";
  $("name").textContent = info.name;
  const up = info.uptime_seconds + (Date.now() - state.infoRead) / 1000;
  $("about").textContent = `version ${info.version} · up ${duration(up)} · ${info.user}, pid ${info.pid}`;
  $("t-ports").textContent = `${stats.totals.ports_up} / ${stats.totals.ports}`;
  const drops = sum(stats.totals.drops);
  $("t-drops").textContent = count(drops);
  $("t-drops").classList.toggle("some", Boolean(total && total.drops > 0));
  $("t-fdb").textContent = count(stats.fdb.entries);
  if (!total) return;
  $("t-in").textContent = bits(total.in);
  $("t-in-what").textContent = `${scaled(stats.totals.rx.bytes, "B")} came in`;
  $("t-frames").textContent = frames(total.inFrames) + "/s";
  $("t-frames-what").textContent = `${count(stats.totals.rx.frames)} frames in`;
  $("t-drops-what").textContent = total.drops > 0 ? `dropped, ${frames(total.drops)}/s now` : "dropped";
  spark($("t-spark"), state.totalPast, Math.max(...state.totalPast));
}

function live(text, ok) {
  $("live").hidden = false;
  $("live").textContent = text;
  $("live").classList.toggle("off", !ok);
}

function problem(err) {
  live(err.status ? "refused" : "no answer", false);
  if (err.status !== 401) return;
  $("why").textContent = token
    ? "The switch does not take this page's token. It makes a new one at each start, and prints it."
    : "Open the address that vswitch printed at its start, or paste the token in it.";
  $("problem").hidden = false;
  $("all").hidden = true;
}

async function tick(turn) {
  const stats = await ask("/v1/stats");
  if (!state.info || stats.life !== state.info.life || await readEvents() || turn % 15 === 0) {
    await readPorts();
    state.infoRead = Date.now();
    if (!state.events.length) await readEvents();
    draw($("topology"), $("more"), state);
    showEvents($("events"), state);
  }
  readRates(stats);
  showTotals();
  flow(state);
  showPorts(state);
  showDrops($("drops"), state);
  live("live", true);
  if ($("all").hidden || !document.body.classList.contains("live")) begin();
}

// begin shows what only a page with JavaScript has.
function begin() {
  $("problem").hidden = true;
  $("all").hidden = false;
  document.body.classList.add("live");
  for (const node of document.querySelectorAll(".js")) node.hidden = node.id === "capture" && !state.info.may_change;
  startPorts(state, (id) => { $("what").value = id; $("find").requestSubmit(); $("find").scrollIntoView({ block: "center" }); });
  startFDB(state, ask);
  showCapture(state, call);
  draw($("topology"), $("more"), state);
  flow(state);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth) return;
    width = innerWidth;
    draw($("topology"), $("more"), state);
    flow(state);
  });
}

async function run() {
  for (let turn = 1; ; turn++) {
    try {
      if (!document.hidden) await tick(turn);
    } catch (err) {
      problem(err);
      if (err.status === 401) return; // another token comes with another page
      if (!err.status && !(err instanceof TypeError)) console.error(err);
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
}

if (token) run(); else if ($("problem").hidden) problem({ status: 401 });
