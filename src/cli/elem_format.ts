/**
 * How keys and values look: bytes in hex, in text and in JSON. Those of maps with BTF look the same: types are not shown.
 */
import type { Output } from "./output.js";
import type { MapInfo } from "../kernels/syscalls.js";
import {
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  BPF_MAP_TYPE_PERCPU_HASH,
} from "../uapi/bpf.js";

const PERCPU_TYPES: readonly number[] = [
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
];

const ROW_BYTES = 16;
/** Key and value stand on one line while together they take no more than this. */
const LINE_BYTES = 24;

/** Says whether a map has a value for each CPU. */
export function isPerCpu(type: number): boolean {
  return PERCPU_TYPES.includes(type);
}

/** The bytes from one CPU's value to the next. */
export function perCpuStride(valueSize: number): number {
  return Math.ceil(valueSize / 8) * 8;
}

/** The size of what a lookup writes, in bytes. */
export function valueBufferSize(info: MapInfo, possibleCpus: number): number {
  return isPerCpu(info.type) ? perCpuStride(info.valueSize) * possibleCpus : info.valueSize;
}

/** Bytes in hex: sixteen a row, a wider gap after the eighth. */
export function formatHex(bytes: Uint8Array): string {
  let text = "";
  bytes.forEach((byte, at) => {
    if (at > 0) text += at % ROW_BYTES === 0 ? "\n" : at % 8 === 0 ? "  " : " ";
    text += byte.toString(16).padStart(2, "0");
  });
  return text;
}

/** Prints one elem of a map. */
export function printElem(out: Output, info: MapInfo, key: Uint8Array, value: Uint8Array): void {
  if (isPerCpu(info.type)) printPerCpuElem(out, info, key, value);
  else if (out.json === undefined) out.text(formatElem(info, key, formatHex(value), info.valueSize));
  else {
    out.json.startObject();
    out.json.name("key");
    out.json.bytes(key);
    out.json.name("value");
    out.json.bytes(value);
    out.json.endObject();
  }
}

/** Prints, in place of an elem, why it could not be read. */
export function printElemError(out: Output, info: MapInfo, key: Uint8Array, message: string): void {
  if (out.json === undefined) {
    out.text(formatElem(info, key, message, message.length));
    return;
  }
  out.json.startObject();
  out.json.name("key");
  out.json.bytes(key);
  out.json.name("value");
  out.json.error(message);
  out.json.endObject();
}

/** Key and value on one line where they are short, else each below its name. */
function formatElem(info: MapInfo, key: Uint8Array, value: string, valueSize: number): string {
  const short = info.keySize + valueSize <= LINE_BYTES && info.keySize <= ROW_BYTES && valueSize <= ROW_BYTES;
  const gap = short ? " " : "\n";
  const keyText = info.keySize === 0 ? "" : `key:${gap}${formatHex(key)}${short ? "  " : "\n"}`;
  const valueText = info.valueSize === 0 ? "" : `value:${gap}${value}`;
  return `${keyText}${valueText}\n`;
}

function printPerCpuElem(out: Output, info: MapInfo, key: Uint8Array, value: Uint8Array): void {
  const stride = perCpuStride(info.valueSize);
  const values: Uint8Array[] = [];
  for (let off = 0; off < value.length; off += stride) values.push(value.subarray(off, off + info.valueSize));

  if (out.json === undefined) {
    const gap = info.valueSize > ROW_BYTES ? "\n" : " ";
    const lines = values.map((bytes, cpu) => `value (CPU ${String(cpu).padStart(2, "0")}):${gap}${formatHex(bytes)}\n`);
    out.text(`key:\n${formatHex(key)}\n${lines.join("")}`);
    return;
  }
  out.json.startObject();
  out.json.name("key");
  out.json.bytes(key);
  out.json.name("values");
  out.json.startArray();
  values.forEach((bytes, cpu) => {
    out.json?.startObject();
    out.json?.name("cpu");
    out.json?.number(cpu);
    out.json?.name("value");
    out.json?.bytes(bytes);
    out.json?.endObject();
  });
  out.json.endArray();
  out.json.endObject();
}
