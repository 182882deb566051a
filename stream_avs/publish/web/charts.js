// The two small charts of a tile: the strip of sound, and ages with drops.

const SPAN_NS = 4e9;
const AGE_SPAN_MS = 60_000;

/** Sound of the last seconds. Its right edge is the moment of the picture shown. */
export class SoundChart {
  constructor(canvas) {
    this.canvas = canvas;
    this.columns = []; // { ns, bands, level }, in order
    this.buffer = document.createElement("canvas");
  }

  /** Take the columns of a sound message. */
  add({ header, payloads }) {
    const n = header.levels_dbfs.length;
    const width = Number(header.column_ns);
    const end = Number(header.t_end_ns);
    for (let k = 0; k < n; k++) {
      const bands = payloads[0].slice(k * header.bands, (k + 1) * header.bands);
      this.columns.push({ ns: end - (n - 1 - k) * width, bands, level: header.levels_dbfs[k] });
    }
    this.forget();
  }

  /** Take a level alone, from a mask of a stream that sends no sound. */
  addLevel(ns, level) {
    this.columns.push({ ns, bands: null, level });
    this.forget();
  }

  /** Draw up to `ns`, the capture time of the picture shown; returns the level there. */
  draw(ns) {
    const [width, height] = fit(this.canvas);
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const shown = this.columns.filter((c) => c.ns <= ns && c.ns > ns - SPAN_NS);
    if (!shown.length) return null;
    if (shown[0].bands) this.drawBands(context, shown, ns, width, height);
    drawLevels(context, shown, ns, width, height);
    return shown.at(-1).level;
  }

  drawBands(context, shown, ns, width, height) {
    const slots = 200;
    const bands = shown[0].bands.length;
    const image = new ImageData(slots, bands);
    for (const column of shown) {
      const x = Math.min(slots - 1, Math.max(0, Math.ceil(slots - 1 - ((ns - column.ns) / SPAN_NS) * slots)));
      for (let band = 0; band < bands; band++) {
        image.data.set(heat(column.bands[band]), 4 * ((bands - 1 - band) * slots + x));
      }
    }
    this.buffer.width = slots;
    this.buffer.height = bands;
    this.buffer.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(this.buffer, 0, 0, width, height);
  }

  forget() {
    const newest = this.columns.at(-1).ns;
    // A stream that begins anew has another time; what is behind the newest by far is of no use either.
    this.columns = this.columns.filter((c) => c.ns > newest - 2 * SPAN_NS && c.ns <= newest).slice(-600);
  }
}

/** Ages of the masks when they were drawn, and dropped frames, over the last minute. */
export class AgeChart {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = []; // { ms, age, dropped }
  }

  add(ms, age, dropped) {
    this.points.push({ ms, age, dropped });
    while (this.points[0].ms < ms - AGE_SPAN_MS) this.points.shift();
  }

  /** Median, 95th percentile and rate over the last five seconds. */
  recent(ms) {
    const recent = this.points.filter((p) => p.ms > ms - 5000);
    const ages = recent.map((p) => p.age).sort((a, b) => a - b);
    if (!ages.length) return null;
    const at = (q) => ages[Math.min(ages.length - 1, Math.floor(q * ages.length))];
    const span = (ms - recent[0].ms) / 1000;
    return { p50: at(0.5), p95: at(0.95), rate: span > 0 ? (recent.length - 1) / span : 0 };
  }

  draw(ms) {
    const [width, height] = fit(this.canvas);
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!this.points.length) return;
    const top = niceTop(Math.max(...this.points.map((p) => p.age)));
    const scale = width / this.canvas.clientWidth || 1;
    const x = (p) => width * (1 - (ms - p.ms) / AGE_SPAN_MS);
    const y = (age) => height - (Math.max(0, age) / top) * (height - 4 * scale);
    context.fillStyle = "#ff7a59";
    for (const p of this.points) {
      if (p.dropped) context.fillRect(x(p), height - Math.min(height, p.dropped * 5 * scale), 2 * scale, height);
    }
    context.strokeStyle = "#56b4e9";
    context.lineWidth = 1.5 * scale;
    context.beginPath();
    this.points.forEach((p, k) => context[k ? "lineTo" : "moveTo"](x(p), y(p.age)));
    context.stroke();
    context.fillStyle = "#a3adbb";
    context.font = `${11 * scale}px system-ui, sans-serif`;
    context.fillText(`${top} ms`, 4 * scale, 12 * scale);
  }
}

function drawLevels(context, shown, ns, width, height) {
  const x = (c) => width * (1 - (ns - c.ns) / SPAN_NS);
  const y = (c) => height * Math.min(1, Math.max(0, -c.level / 70));
  context.strokeStyle = "#f5f7fa";
  context.lineWidth = Math.max(1, height / 42);
  context.lineJoin = "round";
  context.beginPath();
  shown.forEach((c, k) => context[k ? "lineTo" : "moveTo"](x(c), y(c)));
  context.stroke();
}

/** Black over violet and orange to pale yellow: lightness grows evenly with the value. */
function heat(value) {
  const t = value / 255;
  const r = 255 * Math.min(1, 1.7 * t);
  const g = 255 * Math.max(0, Math.min(1, 1.6 * t - 0.55));
  const b = 255 * (t < 0.5 ? 0.9 * t + 0.05 : Math.max(0.12, 1.1 * t - 0.55));
  return [r, g, b, 255];
}

function niceTop(value) {
  return [50, 100, 200, 300, 500, 1000, 2000, 5000, 10000, 60000].find((top) => value <= top) ?? Math.ceil(value / 60000) * 60000;
}

/** Make the canvas as fine as the screen; returns its size. */
function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  return [width, height];
}
