/** Types of wire.js: the stream-avs wire format, version 1 (../WIRE.md). */

export type Affine = [a: number, b: number, c: number, d: number, e: number, f: number];
export type Int64 = number | bigint;
export type Encoding = "packbits+zlib" | "rle" | "mono8" | "png";
export type State = "ok" | "reset" | "no_audio" | "stale";

export interface Sounding {
  class_id: number;
  name: string;
  /** 0..1 */
  score: number;
  /** Share of the mask's pixels, 0..1. */
  area: number;
}

export interface Header {
  v: 1;
  stream: string;
  seq: Int64;
  window_seq: Int64;
  t_capture_ns: Int64;
  t_arrival_ns: Int64;
  t_publish_ns: Int64;
  clock: "mono";
  clock_offset_ns: Int64;
  frame_id: string;
  src_size: [width: number, height: number];
  mask_size: [width: number, height: number];
  transform: Affine;
  encoding: Encoding;
  confidence: "none" | "u8+zlib";
  class_ids: number[];
  payload_bytes: number[];
  labels: Record<string, string>;
  sounding: Sounding[];
  sounding_score: number;
  audio_level_dbfs: number;
  state: State;
  reset_reason: string;
  n_dropped_since_last: Int64;
  av_offset_ns: Int64;
  model_id: string;
  latency_ms: Record<string, number>;
}

export interface Message {
  /** "latest" for masks; a viewer's server also sends "picture", "sound" and "status". */
  kind: string;
  stream: string;
  topic: string;
  header: Header;
  payloads: Uint8Array[];
}

export interface Mask {
  width: number;
  height: number;
  /** One byte per pixel, top row first; 0 does not sound. */
  ids: Uint8Array;
}

export const VERSION: 1;
export const LIMITS: Readonly<Record<string, number>>;
export class WireError extends Error {}
export function readMessage(buffer: ArrayBuffer | Uint8Array): Message;
export function decodeMask(message: Pick<Message, "header" | "payloads">): Promise<Mask>;
export function decodeConfidence(
  message: Pick<Message, "header" | "payloads">,
): Promise<{ width: number; height: number; values: Uint8Array } | null>;
export function maskToSource(transform: Affine, x: number, y: number): [x: number, y: number];
export function sourceToMask(transform: Affine, x: number, y: number): [x: number, y: number];
export function canvasTransform(transform: Affine, scaleX?: number, scaleY?: number): Affine;
export function captureTimeMs(header: Header): number;
export function unpack(bytes: Uint8Array): unknown;
