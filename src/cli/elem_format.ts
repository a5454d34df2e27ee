/**
 * How keys and values look: bytes in hex, in text and in JSON. What maps with BTF hold is shown by btf_value.ts: in JSON
 * beside the bytes, as "formatted"; in text instead of them.
 */
import type { JsonWriter } from "./json_writer.js";
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

/** Prints one elem of a map. `formatted` writes it by its types, in JSON. */
export function printElem(
  out: Output,
  info: MapInfo,
  key: Uint8Array,
  value: Uint8Array,
  formatted?: (json: JsonWriter) => void,
): void {
  const { json } = out;
  if (json === undefined) {
    out.text(
      isPerCpu(info.type) ? perCpuText(info, key, value) : formatElem(info, key, formatHex(value), info.valueSize),
    );
    return;
  }
  json.startObject();
  json.name("key");
  json.bytes(key);
  if (isPerCpu(info.type)) {
    json.name("values");
    json.startArray();
    perCpuValues(info, value).forEach((bytes, cpu) => {
      json.startObject();
      json.name("cpu");
      json.number(cpu);
      json.name("value");
      json.bytes(bytes);
      json.endObject();
    });
    json.endArray();
  } else {
    json.name("value");
    json.bytes(value);
  }
  if (formatted !== undefined) {
    json.name("formatted");
    formatted(json);
  }
  json.endObject();
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

function perCpuText(info: MapInfo, key: Uint8Array, value: Uint8Array): string {
  const gap = info.valueSize > ROW_BYTES ? "\n" : " ";
  const lines = perCpuValues(info, value).map(
    (bytes, cpu) => `value (CPU ${String(cpu).padStart(2, "0")}):${gap}${formatHex(bytes)}\n`,
  );
  return `key:\n${formatHex(key)}\n${lines.join("")}`;
}

function perCpuValues(info: MapInfo, value: Uint8Array): Uint8Array[] {
  const stride = perCpuStride(info.valueSize);
  return Array.from({ length: value.length / stride }, (_, cpu) =>
    value.subarray(cpu * stride, cpu * stride + info.valueSize),
  );
}
