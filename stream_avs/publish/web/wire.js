// Reader of the stream-avs wire format, version 1 (../WIRE.md), for browsers, Node and Deno. No dependencies.
//
//   const message = readMessage(event.data);            // an ArrayBuffer, profile "latest"
//   const mask = await decodeMask(message);             // { width, height, ids: Uint8Array }
//   const [x, y] = maskToSource(message.header.transform, 10, 20);

export const VERSION = 1;
export const LIMITS = { headerBytes: 65536, sidePx: 4096, planeBytes: 4096 * 4096, topicBytes: 512, depth: 8 };

/** What is thrown for a message that is malformed, too large or of another version. */
export class WireError extends Error {}

/** Split a message into topic, header and payloads; copies nothing. */
export function readMessage(buffer) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.subarray(0, LIMITS.topicBytes).indexOf(0);
  if (end < 0 || bytes.length < end + 5) throw new WireError("no topic, or nothing behind it");
  const topic = new TextDecoder().decode(bytes.subarray(0, end));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(end + 1, true);
  const start = end + 5;
  if (length > LIMITS.headerBytes || start + length > bytes.length) {
    throw new WireError(`header has ${length} bytes, ${bytes.length - start} are left`);
  }
  const header = unpack(bytes.subarray(start, start + length));
  if (header === null || typeof header !== "object") throw new WireError("header is no map");
  if (header.v !== VERSION) throw new WireError(`message is of version ${header.v}, this reads ${VERSION}`);
  let rest = bytes.subarray(start + length);
  const payloads = [];
  for (const n of header.payload_bytes ?? []) {
    if (!Number.isInteger(n) || n < 0 || n > rest.length) throw new WireError("payload is cut short");
    payloads.push(rest.subarray(0, n));
    rest = rest.subarray(n);
  }
  if (rest.length) throw new WireError(`${rest.length} bytes more than the header announces`);
  const slash = topic.indexOf("/");
  return { kind: topic.slice(0, slash), stream: topic.slice(slash + 1), topic, header, payloads };
}

/** Unpack the class ids of a message: one byte per pixel, top row first; 0 does not sound. */
export async function decodeMask({ header, payloads }) {
  const [width, height] = size(header);
  const decode = DECODERS[header.encoding];
  if (!decode) throw new WireError(`unknown encoding ${header.encoding}`);
  const ids = await decode(payloads[0], width, height, header.class_ids);
  return { width, height, ids };
}

/** Unpack the confidence of each pixel's class, 0..255; null if the message has none. */
export async function decodeConfidence({ header, payloads }) {
  if (header.confidence === "none") return null;
  const [width, height] = size(header);
  return { width, height, values: await inflate(payloads[1], width * height) };
}

/** Source pixel that a mask pixel maps to; both in pixel centres. */
export function maskToSource([a, b, c, d, e, f], x, y) {
  return [a * x + b * y + c, d * x + e * y + f];
}

/** Mask pixel that a source pixel maps to: the inverse of maskToSource. */
export function sourceToMask([a, b, c, d, e, f], x, y) {
  const det = a * e - b * d;
  if (det === 0) throw new WireError("transform has no inverse");
  const [u, v] = [x - c, y - f];
  return [(e * u - b * v) / det, (a * v - d * u) / det];
}

/**
 * Arguments of CanvasRenderingContext2D.setTransform that lay a mask over the picture, drawn at
 * `scaleX`, `scaleY` canvas pixels per source pixel. A canvas has integers on pixel corners, the wire on centres.
 */
export function canvasTransform([a, b, c, d, e, f], scaleX = 1, scaleY = 1) {
  const [x, y] = [c + 0.5 - (a + b) / 2, f + 0.5 - (d + e) / 2];
  return [a * scaleX, d * scaleY, b * scaleX, e * scaleY, x * scaleX, y * scaleY];
}

/** Unix time of capture in ms, as right as the producer's clock. */
export function captureTimeMs(header) {
  return Number(BigInt(header.t_capture_ns) + BigInt(header.clock_offset_ns)) / 1e6;
}

/** Read one msgpack value. 64-bit integers come as BigInt, integer keys as text. */
export function unpack(bytes) {
  const reader = new Unpacker(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw new WireError("bytes behind the header");
  return value;
}

const DECODERS = {
  "packbits+zlib": decodePlanes,
  rle: decodeRuns,
  mono8: decodeRaw,
  png: decodePng,
};

function size(header) {
  const [width, height] = header.mask_size ?? [];
  for (const side of [width, height]) {
    if (!Number.isInteger(side) || side < 1 || side > LIMITS.sidePx) throw new WireError(`mask side is ${side}`);
  }
  return [width, height];
}

async function decodePlanes(payload, width, height, classIds) {
  const planeBytes = (width * height + 7) >> 3;
  if (planeBytes * classIds.length > LIMITS.planeBytes) throw new WireError("planes pass the limit");
  const planes = await inflate(payload, planeBytes * classIds.length);
  const ids = new Uint8Array(width * height);
  classIds.forEach((id, k) => {
    const plane = planes.subarray(k * planeBytes, (k + 1) * planeBytes);
    for (let byte = 0; byte < planeBytes; byte++) {
      const bits = plane[byte];
      if (bits === 0) continue;
      const first = byte * 8;
      for (let bit = 0; bit < 8; bit++) if (bits & (128 >> bit)) ids[first + bit] = id;
    }
  });
  return ids;
}

function decodeRuns(payload, width, height) {
  const runs = payload.length / 5;
  if (!Number.isInteger(runs) || runs < 1) throw new WireError("rle payload is no list of runs");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const ids = new Uint8Array(width * height);
  let at = 0;
  for (let k = 0; k < runs; k++) {
    const length = view.getUint32(4 * k, true);
    if (length < 1 || at + length > ids.length) throw new WireError("rle runs pass the mask");
    ids.fill(payload[4 * runs + k], at, at + length);
    at += length;
  }
  if (at !== ids.length) throw new WireError("rle runs do not fill the mask");
  return ids;
}

function decodeRaw(payload, width, height) {
  if (payload.length !== width * height) throw new WireError("mono8 payload has another size");
  return payload.slice();
}

async function decodePng(payload, width, height) {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const idat = [];
  for (let at = 8; at + 12 <= payload.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...payload.subarray(at + 4, at + 8));
    const body = payload.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR" && (view.getUint32(at + 8) !== width || view.getUint32(at + 12) !== height)) {
      throw new WireError("png has another size");
    }
    if (kind === "IDAT") idat.push(body);
    at += 12 + length;
  }
  const rows = await inflate(new Uint8Array(await new Blob(idat).arrayBuffer()), (width + 1) * height);
  const ids = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    if (rows[y * (width + 1)] !== 0) throw new WireError("png uses filters");
    ids.set(rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)), y * width);
  }
  return ids;
}

/** Unpack a zlib stream of exactly `length` bytes; stops as soon as there is more. */
async function inflate(payload, length) {
  const out = new Uint8Array(length);
  let at = 0;
  const reader = new Blob([payload]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > length) throw new WireError("unpacks to more than announced");
      out.set(value, at);
      at += value.length;
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof WireError ? error : new WireError(`zlib stream is damaged: ${error.message}`);
  }
  if (at !== length) throw new WireError("zlib stream is cut short");
  return out;
}

class Unpacker {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  value(depth) {
    if (depth > LIMITS.depth) throw new WireError("header is nested too deep");
    const tag = this.number("getUint8", 1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.map(tag & 15, depth);
    if (tag < 0xa0) return this.array(tag & 15, depth);
    if (tag < 0xc0) return this.text(tag & 31);
    if (tag >= 0xe0) return tag - 256;
    const read = READERS[tag];
    if (!read) throw new WireError(`header has an unknown type 0x${tag.toString(16)}`);
    return read(this, depth);
  }

  number(get, bytes) {
    if (this.at + bytes > this.bytes.length) throw new WireError("header is cut short");
    const value = this.view[get](this.at);
    this.at += bytes;
    return value;
  }

  slice(length) {
    if (this.at + length > this.bytes.length) throw new WireError("header is cut short");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text(length) {
    return new TextDecoder("utf-8", { fatal: true }).decode(this.slice(length));
  }

  array(length, depth) {
    if (length > this.bytes.length - this.at) throw new WireError("header is cut short");
    return Array.from({ length }, () => this.value(depth + 1));
  }

  map(length, depth) {
    const entries = Object.create(null);
    for (let k = 0; k < length; k++) {
      const key = this.value(depth + 1);
      entries[String(key)] = this.value(depth + 1);
    }
    return entries;
  }
}

const READERS = {
  0xc0: () => null,
  0xc2: () => false,
  0xc3: () => true,
  0xc4: (r) => r.slice(r.number("getUint8", 1)),
  0xc5: (r) => r.slice(r.number("getUint16", 2)),
  0xc6: (r) => r.slice(r.number("getUint32", 4)),
  0xca: (r) => r.number("getFloat32", 4),
  0xcb: (r) => r.number("getFloat64", 8),
  0xcc: (r) => r.number("getUint8", 1),
  0xcd: (r) => r.number("getUint16", 2),
  0xce: (r) => r.number("getUint32", 4),
  0xcf: (r) => r.number("getBigUint64", 8),
  0xd0: (r) => r.number("getInt8", 1),
  0xd1: (r) => r.number("getInt16", 2),
  0xd2: (r) => r.number("getInt32", 4),
  0xd3: (r) => r.number("getBigInt64", 8),
  0xd9: (r) => r.text(r.number("getUint8", 1)),
  0xda: (r) => r.text(r.number("getUint16", 2)),
  0xdb: (r) => r.text(r.number("getUint32", 4)),
  0xdc: (r, depth) => r.array(r.number("getUint16", 2), depth),
  0xdd: (r, depth) => r.array(r.number("getUint32", 4), depth),
  0xde: (r, depth) => r.map(r.number("getUint16", 2), depth),
  0xdf: (r, depth) => r.map(r.number("getUint32", 4), depth),
};
