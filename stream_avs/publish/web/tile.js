// One stream: brings picture and mask of the same moment together, and draws them.

import { AgeChart, SoundChart } from "./charts.js";
import { PALETTE } from "./palette.js";
import { canvasTransform, captureTimeMs, decodeMask } from "./wire.js";

const GROUND = "#14171d";
const WAIT_FOR_MASK_MS = 700;
const KEEP = 12;
const STATES = {
  ok: "live",
  reset: "new start",
  no_audio: "no audio",
  stale: "old mask",
  waiting: "waiting for masks",
  paused: "paused",
  lost: "no connection",
  silent: "no sound",
  reconnecting: "reconnecting",
  failed: "source failed",
  ended: "ended",
  live: "live",
};

export class Tile {
  constructor(stream, template, settings) {
    this.stream = stream;
    this.settings = settings;
    this.root = template.content.firstElementChild.cloneNode(true);
    const part = (selector) => this.root.querySelector(selector);
    part("h2").textContent = stream;
    this.canvas = part(".picture");
    this.badge = part(".badge");
    this.source = part(".source");
    this.list = part(".sounding");
    this.level = part(".level");
    this.announce = part(".announce");
    this.sound = new SoundChart(part(".strip canvas"));
    this.ages = new AgeChart(part(".ages canvas"));
    this.numbers = Object.fromEntries([...this.root.querySelectorAll("dd")].map((dd) => [dd.dataset.name, dd]));
    this.layer = document.createElement("canvas");
    this.pictures = new Map(); // stamp -> ImageBitmap
    this.masks = new Map(); // stamp -> { header, mask }
    this.shown = null; // { picture, header, mask }
    this.seesPictures = false;
    this.hearsSound = false;
    this.lastMaskMs = 0;
    this.dropped = 0;
    this.heard = "";
    this.sourceState = "waiting";
    this.drawn = 0;
  }

  async onPicture(message) {
    this.seesPictures = true;
    const stamp = BigInt(message.header.t_capture_ns);
    const picture = await createImageBitmap(new Blob([message.payloads[0]], { type: "image/jpeg" }));
    put(this.pictures, stamp, picture);
    this.match(stamp);
    const waited = performance.now() - this.lastMaskMs;
    if (this.pictures.has(stamp) && waited > WAIT_FOR_MASK_MS) this.show(picture, null, null, stamp);
  }

  async onMask(message) {
    const stamp = BigInt(message.header.t_capture_ns);
    this.lastMaskMs = performance.now();
    put(this.masks, stamp, { header: message.header, mask: await decodeMask(message) });
    if (!this.hearsSound) this.sound.addLevel(Number(stamp), message.header.audio_level_dbfs);
    if (!this.seesPictures) this.show(null, ...take(this.masks, stamp), stamp);
    else this.match(stamp);
  }

  onSound(message) {
    this.hearsSound = true;
    this.sound.add(message);
  }

  onStatus({ state, text, source }) {
    this.source.textContent = [source, text].filter(Boolean).join(" · ");
    this.sourceState = state;
    this.tellState();
  }

  /** Draw once both picture and mask of a moment are there; older ones are let go. */
  match(stamp) {
    const [picture, found] = [this.pictures.get(stamp), this.masks.get(stamp)];
    if (!picture || !found) return;
    for (const kept of [this.pictures, this.masks]) {
      for (const key of kept.keys()) if (key <= stamp) {
        if (kept === this.pictures && key !== stamp) kept.get(key).close();
        kept.delete(key);
      }
    }
    this.show(picture, found.header, found.mask, stamp);
  }

  show(picture, header, mask, stamp) {
    if (this.settings.paused) return;
    if (this.shown?.picture && this.shown.picture !== picture) this.shown.picture.close();
    this.shown = { picture, header, mask, stamp };
    this.draw();
    if (header) this.count(header);
    this.tellState();
    this.canvas.dataset.stamp = String(stamp);
    this.canvas.dataset.drawn = String(++this.drawn);
  }

  /** Draw what is shown, e.g. again after a setting has changed. */
  draw() {
    if (!this.shown) return;
    const { picture, header, mask, stamp } = this.shown;
    const [width, height] = picture ? [picture.width, picture.height] : scaled(header.src_size);
    const mode = picture ? this.settings.mode : "mask";
    const [across, down] = mode !== "both" ? [1, 1] : this.canvas.parentElement.clientWidth < 560 ? [1, 2] : [2, 1];
    if (this.canvas.width !== width * across || this.canvas.height !== height * down) {
      this.canvas.width = width * across;
      this.canvas.height = height * down;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = GROUND;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (picture && mode !== "mask") context.drawImage(picture, 0, 0);
    if (mask) {
      const [dx, dy] = mode === "both" ? [across === 2 ? width : 0, down === 2 ? height : 0] : [0, 0];
      this.drawMask(context, header, mask, mode, width, height, dx, dy);
    }
    const level = this.sound.draw(Number(stamp));
    this.level.textContent = level === null ? "–" : `${level.toFixed(0)} dBFS`;
  }

  drawMask(context, header, mask, mode, width, height, dx, dy) {
    const opacity = mode === "overlay" ? this.settings.opacity : 1;
    paint(this.layer, mask, header.state === "stale" ? opacity * 0.45 : opacity);
    context.save();
    context.beginPath();
    context.rect(dx, dy, width, height);
    context.clip();
    context.setTransform(1, 0, 0, 1, dx, dy);
    context.transform(...canvasTransform(header.transform, width / header.src_size[0], height / header.src_size[1]));
    context.imageSmoothingEnabled = true;
    context.drawImage(this.layer, 0, 0);
    context.restore();
  }

  count(header) {
    const now = performance.now();
    const dropped = Number(header.n_dropped_since_last);
    this.dropped += dropped;
    this.ages.add(now, this.settings.nowMs() - captureTimeMs(header), dropped);
    this.tellSounding(header);
    const what = header.sounding.map((s) => s.name).join(", ");
    this.canvas.setAttribute("aria-label", what ? `Picture; sounding: ${what}` : "Picture; nothing sounds");
  }

  /** Figures and charts; called a few times a second. */
  refresh(now) {
    const recent = this.ages.recent(now);
    const say = (name, text) => { this.numbers[name].textContent = text; };
    say("p50", recent ? `${recent.p50.toFixed(0)} ms` : "–");
    say("p95", recent ? `${recent.p95.toFixed(0)} ms` : "–");
    say("rate", recent ? recent.rate.toFixed(1) : "–");
    say("dropped", String(this.dropped));
    this.ages.draw(now);
    this.tellState();
  }

  tellSounding(header) {
    const items = header.sounding.slice(0, 6).map(chip);
    this.list.replaceChildren(...items);
    const heard = header.sounding.map((s) => s.name).join(", ");
    if (heard !== this.heard) this.announce.textContent = heard ? `${heard} sounding` : "nothing sounds";
    this.heard = heard;
  }

  tellState() {
    const silentMs = performance.now() - this.lastMaskMs;
    let state = this.shown?.header?.state ?? "waiting";
    if (silentMs > 2000) state = this.sourceState === "live" ? "waiting" : this.sourceState;
    if (["reconnecting", "failed", "ended"].includes(this.sourceState)) state = this.sourceState;
    if (this.settings.lost) state = "lost";
    if (this.settings.paused) state = "paused";
    if (this.badge.dataset.state === state) return;
    this.badge.dataset.state = state;
    this.badge.textContent = STATES[state] ?? state;
  }
}

/** Colour a mask: tinted inside, stronger at the edge of each class, clear elsewhere. */
function paint(layer, { width, height, ids }, opacity) {
  if (layer.width !== width || layer.height !== height) [layer.width, layer.height] = [width, height];
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const inside = colours(opacity, 0);
  const edge = colours(Math.min(1, opacity + 0.5), 0.3);
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      const id = ids[k];
      if (id === 0) continue;
      const isEdge =
        (x > 0 && ids[k - 1] !== id) || (x < width - 1 && ids[k + 1] !== id) ||
        (y > 0 && ids[k - width] !== id) || (y < height - 1 && ids[k + width] !== id);
      out[k] = isEdge ? edge[id] : inside[id];
    }
  }
  layer.getContext("2d").putImageData(image, 0, 0);
}

const coloursMade = new Map();

/** Pixel values of all class ids at one opacity, `white` mixed in, as a canvas keeps them. */
function colours(opacity, white) {
  const alpha = Math.round(255 * opacity);
  const key = `${alpha} ${white}`;
  let made = coloursMade.get(key);
  if (!made) {
    const pixels = PALETTE.flatMap((colour) => [...colour.map((c) => Math.round(c + (255 - c) * white)), alpha]);
    made = new Uint32Array(new Uint8Array(pixels).buffer);
    coloursMade.set(key, made);
  }
  return made;
}

function chip(sounding) {
  const item = document.createElement("li");
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  mark.setAttribute("viewBox", "0 0 10 10");
  mark.setAttribute("aria-hidden", "true");
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  for (const [name, value] of [["cx", 5], ["cy", 5], ["r", 5], ["fill", `rgb(${PALETTE[sounding.class_id]})`]]) {
    dot.setAttribute(name, value);
  }
  mark.append(dot);
  const name = document.createElement("b");
  name.textContent = sounding.name;
  const score = document.createElement("output");
  score.textContent = `${Math.round(100 * sounding.score)} %`;
  item.append(mark, name, score);
  return item;
}

function put(kept, stamp, value) {
  kept.set(stamp, value);
  while (kept.size > KEEP) {
    const [oldest, gone] = kept.entries().next().value;
    gone.close?.();
    kept.delete(oldest);
  }
}

function take(kept, stamp) {
  const { header, mask } = kept.get(stamp);
  kept.delete(stamp);
  return [header, mask];
}

function scaled([width, height]) {
  const scale = Math.min(1, 960 / width);
  return [Math.round(width * scale), Math.round(height * scale)];
}
