// The page: connection, settings, tiles.

import { Tile } from "./tile.js";
import { readMessage, WireError } from "./wire.js";

const byId = (id) => document.getElementById(id);
const tiles = new Map();
const skews = [];
const settings = {
  mode: "overlay",
  opacity: 0.4,
  paused: false,
  lost: false,
  /** Unix time, ms, on the server's clock where it differs from ours by more than the way takes. */
  nowMs() {
    const skew = skews.length ? Math.min(...skews) : 0;
    return performance.timeOrigin + performance.now() - (Math.abs(skew) > 250 ? skew : 0);
  },
};
let socket = null;
let retryMs = 500;
let malformed = 0;
/** From the address, where it is not sent along: #token=… */
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";

function connect() {
  if (!token) return tell("closed", "no token: open the whole address, which ends in #token=…");
  tell("connecting", "connecting");
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  let opened = false;
  socket = new WebSocket(`${scheme}://${location.host}/stream?token=${encodeURIComponent(token)}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    opened = true;
    retryMs = 500;
    settings.lost = false;
    tell("open", "connected");
    if (settings.paused) ask();
  };
  socket.onmessage = (event) => {
    take(event.data).catch(complain);
  };
  socket.onclose = () => {
    settings.lost = true;
    // A browser does not tell why: the session may be gone, or be a new one with another token.
    const hint = opened ? "" : "; if the session was started again, open its new address";
    tell("closed", `no connection, trying again in ${(retryMs / 1000).toFixed(1)} s${hint}`);
    setTimeout(connect, retryMs);
    retryMs = Math.min(5000, retryMs * 1.6);
  };
}

async function take(data) {
  const message = readMessage(data);
  if (message.kind === "status") return onStatus(message.header);
  // A page nobody sees need not work; it catches up with the next pair.
  if (document.hidden) return;
  const tile = tileOf(message.stream);
  if (message.kind === "latest") await tile.onMask(message);
  else if (message.kind === "picture") await tile.onPicture(message);
  else if (message.kind === "sound") tile.onSound(message);
}

function onStatus(header) {
  skews.push(performance.timeOrigin + performance.now() - Number(header.t_unix_ns) / 1e6);
  if (skews.length > 30) skews.shift();
  for (const [name, status] of Object.entries(header.streams)) tileOf(name).onStatus(status);
  const skipped = Number(header.skipped);
  tell("open", skipped ? `connected, ${skipped} pictures skipped for this page` : "connected");
}

function tileOf(stream) {
  let tile = tiles.get(stream);
  if (!tile) {
    tile = new Tile(stream, byId("tile"), settings);
    tiles.set(stream, tile);
    byId("tiles").append(tile.root);
    byId("tiles").dataset.count = String(tiles.size);
  }
  return tile;
}

function complain(error) {
  malformed += 1;
  if (malformed === 1) console.warn("a message was skipped:", error);
  if (!(error instanceof WireError)) console.error(error);
}

function tell(state, text) {
  const element = byId("connection");
  element.dataset.state = state;
  if (element.textContent !== text) element.textContent = text;
}

function ask() {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ pause: settings.paused }));
}

function setPaused(paused) {
  settings.paused = paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Go on" : "Pause";
  ask();
  for (const tile of tiles.values()) tile.tellState();
}

function setMode(mode) {
  settings.mode = mode;
  document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
  for (const tile of tiles.values()) tile.draw();
}

function setOpacity(percent) {
  const value = Math.min(100, Math.max(0, percent));
  settings.opacity = value / 100;
  byId("opacity").value = String(value);
  byId("opacity-value").textContent = `${value} %`;
  for (const tile of tiles.values()) tile.draw();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isControl = event.target.matches("button, input");
  const mode = { 1: "overlay", 2: "mask", 3: "both" }[event.key];
  if (event.key === " " && !isControl) setPaused(!settings.paused);
  else if (mode) setMode(mode);
  else if (event.key === "+") setOpacity(Math.round(100 * settings.opacity) + 5);
  else if (event.key === "-") setOpacity(Math.round(100 * settings.opacity) - 5);
  else return;
  event.preventDefault();
}

byId("pause").addEventListener("click", () => setPaused(!settings.paused));
byId("modes").addEventListener("change", (event) => setMode(event.target.value));
byId("opacity").addEventListener("input", (event) => setOpacity(Number(event.target.value)));
document.addEventListener("keydown", onKey);
setInterval(() => {
  if (!document.hidden && !settings.paused) for (const tile of tiles.values()) tile.refresh(performance.now());
}, 250);
connect();
