// How numbers, names and elements are written.

const svgNS = "http://www.w3.org/2000/svg";

// el makes an HTML element; texts become text, never markup.
export function el(tag, attrs = {}, ...children) { return fill(document.createElement(tag), attrs, children); }

// svg makes an SVG element.
export function svg(tag, attrs = {}, ...children) { return fill(document.createElementNS(svgNS, tag), attrs, children); }

function fill(node, attrs, children) {
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// scaled writes v with three digits and a unit: 1.23 M.
export function scaled(v, unit) {
  let step = 0;
  while (v >= 999.5 && step < 6) { v /= 1000; step++; }
  if (v > 0 && v < 0.05) v = 0;
  const digits = v >= 100 || step === 0 && v % 1 === 0 ? 0 : v >= 10 ? 1 : 2;
  return v.toFixed(digits) + " " + ["", "k", "M", "G", "T", "P", "E"][step] + unit;
}

export const bits = (perSecond) => scaled(perSecond, "bit/s");
export const frames = (perSecond) => scaled(perSecond, "").trim();

// count writes n in groups of three digits.
export const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");

export function duration(seconds) {
  const s = Math.floor(seconds), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s % 60} s` : `${s} s`;
}

export const cut = (text, n) => text.length > n ? text.slice(0, n - 1) + "…" : text;

export const sum = (drops) => Object.values(drops).reduce((a, b) => a + b, 0);

// peerName is who is plugged in, in a few words.
export function peerName(p) {
  if (!p.peer) return "";
  return p.peer.command || p.peer.address || (p.peer.pid ? "pid " + p.peer.pid : "");
}

export function peerMore(p) {
  if (!p.peer) return "";
  const parts = [];
  if (p.peer.user) parts.push(p.peer.user);
  if (p.peer.pid && p.peer.command) parts.push("pid " + p.peer.pid);
  return parts.join(", ");
}

// treeNote is a port's place in the spanning tree, where there is something to
// say about it: "" where frames simply pass.
export function treeNote(p) {
  const t = p.state === "up" && p.stp;
  if (!t) return "";
  if (t.guarded) return "blocked by root guard";
  if (t.state === "learning") return "learning";
  if (t.state !== "forwarding") return "blocked: " + t.role;
  if (t.blocked) return `blocked in ${t.blocked} trees`;
  return t.role === "root" ? "way to the root" : "";
}

export const isBlocked = (p) => treeNote(p).startsWith("blocked");

// home is the VLAN of a port's frames without a tag; 0: it has none. They also
// leave without one if isBare.
export const home = (p) => p.native === "none" && !p.transparent ? 0 : p.pvid;
export const isBare = (p) => p.native === "untagged" || p.transparent;

// inSet tells whether a VLAN is in "all", "none" or "10+20-30".
export function inSet(vlan, set) {
  if (set === "all" || set === "none") return set === "all";
  return set.split("+").some((part) => {
    const [low, high = low] = part.split("-").map(Number);
    return vlan >= low && vlan <= high;
  });
}

// spark draws a line of values into an SVG of 100 x 24, which it scales to top.
export function spark(node, values, top) {
  const room = 60, max = Math.max(top, 1);
  const at = values.map((v, i) => [100 * (room - values.length + i) / (room - 1), 22.5 - 20.5 * Math.min(1, v / max)]);
  const line = at.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");
  if (!node.firstChild) node.append(svg("path", { class: "area" }), svg("path"));
  node.firstChild.setAttribute("d", at.length > 1 ? `${line}L100 24L${at[0][0].toFixed(1)} 24Z` : "");
  node.lastChild.setAttribute("d", at.length > 1 ? line : "");
}
