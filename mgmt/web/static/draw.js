// The picture: the switch as a spine with one lane for each VLAN, its ports on
// both sides (on a narrow screen: on one), and who is plugged in at the end of
// each cable. draw lays it out when something changed; flow lets it move.

import { bits, cut, home, inSet, isBare, isBlocked, peerMore, peerName, svg, treeNote } from "./format.js";

const maxPorts = 24, maxPortsNarrow = 12, maxLanes = 6, maxLanesNarrow = 4;
const cardHeight = 54, rowHeight = 66, laneWidth = 30;

let moving = new Map(); // port number -> nodes that flow writes to
let colors = new Map(); // VLAN -> class of its colour

// vlanColor is the class that gives a VLAN its colour.
export const vlanColor = (vlan) => colors.get(vlan) || "v0";

export function draw(root, note, state) {
  colors = new Map([...new Set(state.ports.map((p) => p.pvid))].sort((a, b) => a - b).map((v, i) => [v, "v" + i % 8]));
  const width = Math.floor(root.parentElement.clientWidth - (innerWidth <= 760 ? 24 : 36));
  if (width <= 0) return; // not shown yet
  const narrow = width < 680;
  const ports = choose(state.ports, narrow ? maxPortsNarrow : maxPorts);
  const lanes = busiest(ports, narrow ? maxLanesNarrow : maxLanes);
  const g = geometry(width, narrow, ports.length, lanes.length, ports.some((p) => home(p) && !lanes.includes(p.pvid)));
  moving = new Map();
  root.replaceChildren(spine(g, lanes, state));
  ports.forEach((p, i) => {
    const right = narrow || i >= g.rows;
    // The right side stands half a row lower, so that no two branches meet.
    const y = g.top + (right && !narrow ? i - g.rows + 0.5 : i) * rowHeight + rowHeight / 2;
    root.append(port(g, lanes, p, right, y));
  });
  root.setAttribute("viewBox", `0 0 ${width} ${g.height}`);
  root.setAttribute("height", g.height);
  note.textContent = !ports.length ? "Nothing is plugged in yet." :
    ports.length < state.ports.length ? `The ${ports.length} ports with the most traffic; the table has all ${state.ports.length}.` : "";
}

// choose takes the ports with the most traffic, by number.
function choose(ports, most) {
  if (ports.length <= most) return ports;
  const traffic = (p) => p.rx.bytes + p.tx.bytes;
  return [...ports].sort((a, b) => traffic(b) - traffic(a) || a.id - b.id).slice(0, most).sort((a, b) => a.id - b.id);
}

// busiest takes the VLANs of most ports, by number.
function busiest(ports, most) {
  const used = new Map();
  for (const v of ports.map(home).filter(Boolean)) used.set(v, (used.get(v) || 0) + 1);
  return [...used.keys()].sort((a, b) => used.get(b) - used.get(a) || a - b).slice(0, most).sort((a, b) => a - b);
}

function geometry(width, narrow, ports, lanes, numbers) {
  const g = { width, narrow, rows: narrow ? ports : Math.ceil(ports / 2), top: 58 };
  g.spine = Math.max(narrow ? 84 : 150, (lanes + 1) * laneWidth + (numbers ? 64 : 24));
  const half = narrow || ports % 2 || !ports ? 0 : rowHeight / 2; // the right side's last row
  g.height = g.top + Math.max(1, g.rows) * rowHeight + half + 34;
  g.left = narrow ? 2 : (width - g.spine) / 2;
  g.right = g.left + g.spine;
  g.cable = narrow ? 34 : Math.max(46, Math.min(150, (width - g.spine) / 2 - 330));
  g.card = Math.min(330, (narrow ? width - g.right : g.left) - g.cable - 8);
  g.tight = g.card < 215; // in and out do not fit into one line
  g.letters = Math.floor((g.card - 26) / 7.6);
  g.lane = (i) => g.left + g.spine / 2 + (i - (lanes - 1) / 2) * laneWidth;
  return g;
}

function spine(g, lanes, state) {
  const mid = g.left + g.spine / 2, bottom = g.height - 34;
  const room = Math.floor((g.spine - 14) / 9.5);
  const group = svg("g", {},
    svg("rect", { class: "spine", x: g.left, y: 2, width: g.spine, height: g.height - 4, rx: 14 }),
    svg("text", { class: "big", x: mid, y: 26, "text-anchor": "middle" }, cut(state.info.name, room)),
    svg("text", { class: "soft", x: mid, y: 44, "text-anchor": "middle" }, state.info.hub ? "hub" : "switch"));
  lanes.forEach((vlan, i) => group.append(svg("g", { class: vlanColor(vlan) },
    svg("line", { class: "lane", x1: g.lane(i), x2: g.lane(i), y1: g.top + 4, y2: bottom }),
    svg("text", { class: "lanename", x: g.lane(i), y: bottom + 20 }, lanes.length === 1 ? "VLAN " + vlan : vlan))));
  return group;
}

function port(g, lanes, p, right, y) {
  const edge = right ? g.right : g.left, dir = right ? 1 : -1;
  const cardX = right ? edge + g.cable : edge - g.cable - g.card;
  const end = edge + dir * g.cable;
  const group = svg("g", { class: `${vlanColor(p.pvid)} ${p.state !== "up" ? "off" : isBlocked(p) ? "blocked" : ""}`, tabindex: "0", role: "button", "aria-label": `port ${p.id} ${p.name}, ${treeNote(p) || p.state}` });
  group.append(...stops(g, lanes, p, edge, y));
  const from = edge + dir * 13;
  // Both flows are drawn from the peer to the switch; "out" runs backwards.
  const line = (cls, dy) => svg("line", { class: cls, x1: end, x2: from, y1: y + dy, y2: y + dy });
  const flowIn = line("flow in", -4), flowOut = line("flow out", 4);
  group.append(line("cable", 0), flowIn, flowOut);
  group.append(svg("rect", { class: "jack", x: edge - 13, y: y - 11, width: 26, height: 22, rx: 5 }),
    svg("text", { class: "jacknum", x: edge, y: y + 4 }, p.id));
  const rate = svg("text", { class: "soft", x: cardX + 14, y: y + (g.tight ? 7 : 17) });
  group.append(...card(g, p, cardX, y, right), rate);
  const filter = document.getElementById("filter");
  const pick = () => { filter.value = p.name; filter.dispatchEvent(new Event("input")); filter.scrollIntoView({ block: "center" }); };
  group.addEventListener("click", pick);
  group.addEventListener("keydown", (e) => { if (e.key === "Enter") pick(); });
  const second = g.tight ? { x: cardX + 14, y: y + 21 } : { dx: 10 };
  moving.set(p.id, { flowIn, flowOut, rate, second, letters: g.letters, port: p });
  return group;
}

// stops marks the VLANs of a port: a dot where frames have no tag, rings where
// they have one.
function stops(g, lanes, p, edge, y) {
  const tagged = lanes.map((v, i) => i).filter((i) => lanes[i] === home(p) ? !isBare(p) : inSet(lanes[i], p.tagged));
  const own = isBare(p) ? lanes.indexOf(p.pvid) : -1;
  const at = [...tagged, ...(own >= 0 ? [own] : [])].map(g.lane);
  // A VLAN without a lane has its number at the jack.
  const number = !home(p) || lanes.includes(p.pvid) ? [] : [svg("text", { class: "lanename", x: edge + (edge === g.right ? -29 : 29), y: y + 4 }, p.pvid)];
  if (!at.length) return number;
  const far = at.reduce((a, b) => Math.abs(b - edge) > Math.abs(a - edge) ? b : a);
  return [
    svg("line", { class: "branch", x1: edge, x2: far, y1: y, y2: y }),
    ...tagged.map((i) => svg("g", { class: vlanColor(lanes[i]) }, svg("circle", { class: "stop", cx: g.lane(i), cy: y, r: 5 }))),
    ...(own >= 0 ? [svg("circle", { class: "stop own", cx: g.lane(own), cy: y, r: 5.5 })] : []),
    ...number,
  ];
}

function card(g, p, x, y, right) {
  const top = y - cardHeight / 2, letters = g.letters, line = y - (g.tight ? 9 : 4);
  const title = svg("text", { class: "title", x: x + 14, y: line }, cut(p.name, letters));
  const notes = [treeNote(p), p.isolated && "isolated", p.mirror !== "none" && "mirror", p.transparent && "transparent"];
  const join = (...words) => words.filter(Boolean).join(" · ");
  const room = letters - Math.min(p.name.length, letters) - 2;
  const side = join(peerName(p), peerMore(p), ...notes);
  const fits = [side, join(peerName(p), ...notes), join(...notes), peerName(p)].find((text) => text && text.length <= room) || side;
  return [
    svg("rect", { class: "peer", x, y: top, width: g.card, height: cardHeight, rx: 10 }),
    svg("rect", { class: "edge", x: right ? x : x + g.card - 5, y: top + 10, width: 5, height: cardHeight - 20, rx: 2.5 }),
    title,
    svg("text", { class: "soft", x: x + g.card - 14, y: line, "text-anchor": "end" }, room > 3 ? cut(fits, room) : "", svg("title", {}, side)),
  ];
}

// flow writes rates and lets the cables run.
export function flow(state) {
  for (const [id, m] of moving) {
    const r = state.rates.get(id);
    m.flowIn.setAttribute("class", "flow in " + busy(r && r.in));
    m.flowOut.setAttribute("class", "flow out " + busy(r && r.out));
    const text = [];
    if (m.port.state !== "up") {
      text.push(svg("tspan", { class: m.port.state === "waiting" ? "wait" : "" }, cut(m.port.state === "down" ? "set down" : "waits: " + (m.port.reason || "no link"), Math.floor(m.letters * 1.2))));
    } else if (r) {
      text.push(svg("tspan", {}, "in " + bits(r.in)), svg("tspan", m.second, "out " + bits(r.out)));
      if (r.drops > 0) text.push(svg("tspan", { class: "lost", dx: m.second.dx || 5 }, m.second.dx ? "drops" : "!"));
    }
    m.rate.replaceChildren(...text);
  }
}

const busy = (rate) => !rate ? "" : rate < 1e5 ? "busy1" : rate < 2e7 ? "busy2" : "busy3";
