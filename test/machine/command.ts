/**
 * Commands of bpf(2) that name no kernel: an fd is a slot's number, a pointer an offset of the arena. So the same command can be
 * given to any kernel, and printed.
 */
import { type bpfAttr, cmdName } from "tsbpf/uapi";
import { placeName } from "./arena.js";

/** What a field of attr holds. */
export type Word =
  | number
  | bigint
  /** The bytes themselves: a map's name. */
  | Uint8Array
  /** The fd that is, or was last, in this slot. A slot is taken as fds are: the lowest that is free. */
  | { readonly fd: number }
  /** The id of the map, or BTF object, of this slot. */
  | { readonly id: number }
  /** A pointer: an offset of the arena. */
  | { readonly to: number }
  /** A pointer to a path: a name in the folder of pinned names, or one that begins with "/". */
  | { readonly path: string };

export type AttrGroup = keyof typeof bpfAttr;

/** One call of bpf(2). */
export interface Command {
  readonly op: "bpf";
  readonly cmd: number;
  /** Whose fields they are: bpfAttr[group]. */
  readonly group: AttrGroup;
  readonly fields: Readonly<Record<string, Word>>;
  /** Bytes of attr that are given: BPF_ATTR_SIZE unless told. */
  readonly size?: number;
  /** Where attr lies, an offset of the arena or an address: at ATTR unless told. */
  readonly attr?: { readonly to: number } | number;
  /** Bytes that lie in the arena: in attr itself they overwrite the fields. */
  readonly data?: readonly (readonly [offset: number, bytes: Data])[];
}

/** Bytes; the four of a slot's fd; or the eight of a pointer: an offset of the arena. */
export type Data = Uint8Array | { readonly fd: number } | { readonly to: number };

/** What is asked of a kernel: a command, a call beside it, or several commands whose order of answers is the kernel's. */
export type Step =
  | Command
  | { readonly op: "close"; readonly fd: { readonly fd: number } | number }
  | { readonly op: "unlink" | "mkdir" | "rmdir" | "readdir"; readonly path: string }
  | { readonly op: "rename"; readonly path: string; readonly to: string }
  /** All elems, by BPF_MAP_GET_NEXT_KEY and LOOKUP_ELEM, or by BPF_MAP_LOOKUP_BATCH of so many. */
  | { readonly op: "walk"; readonly fd: { readonly fd: number }; readonly batch?: number }
  /** mmap(2) of so many bytes; `put` is written at the start of what is mapped, if it was to be written to. */
  | {
      readonly op: "mmap";
      readonly fd: { readonly fd: number };
      readonly length: number;
      readonly offset: number;
      readonly put?: Uint8Array;
    }
  /** Which maps BPF_MAP_GET_NEXT_ID leads to, of those that have a slot. */
  | { readonly op: "ids" };

/** What a kernel answered: the fd's slot, the count or the errno, and the bytes that it wrote; for a walk the sorted elems. */
export interface Answer {
  readonly ret: number;
  readonly wrote: string;
}

function wordText(word: Word): string {
  if (word instanceof Uint8Array) return `"${String.fromCharCode(...word)}"`;
  if (typeof word === "object") {
    if ("fd" in word) return `fd#${word.fd}`;
    if ("id" in word) return `id of fd#${word.id}`;
    return "to" in word ? `&${placeName(word.to)}` : `&${JSON.stringify(word.path)}`;
  }
  return word >= 0 && word < 10 ? String(word) : word < 0 ? String(word) : `0x${word.toString(16)}`;
}

function dataText([offset, bytes]: readonly [number, Data]): string {
  if (!(bytes instanceof Uint8Array)) return `${placeName(offset)} = ${wordText(bytes)}`;
  if (bytes.every((byte) => byte === bytes[0])) return `${placeName(offset)} = ${bytes.length} x ${bytes[0]}`;
  const first = bytes.findIndex((byte) => byte !== 0);
  const last = bytes.findLastIndex((byte) => byte !== 0);
  if (last - first >= 64) return `${placeName(offset)} = ${hex(bytes.subarray(0, 64))}... (${bytes.length} bytes)`;
  if (first + bytes.length - last <= 16) return `${placeName(offset)} = ${hex(bytes)}`;
  return `${placeName(offset + first)} = ${hex(bytes.subarray(first, last + 1))} among ${bytes.length} zeroes`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A step in one line. */
export function stepText(step: Step): string {
  switch (step.op) {
    case "bpf": {
      const fields = Object.entries(step.fields).map(([name, word]) => `${name}: ${wordText(word)}`);
      const size = step.size === undefined ? "" : `, size ${step.size}`;
      const attr = step.attr === undefined ? "" : `, attr at ${wordText(step.attr)}`;
      const data = step.data?.length ? `; ${step.data.map(dataText).join(", ")}` : "";
      return `${cmdName(step.cmd)} { ${fields.join(", ")} }${size}${attr}${data}`;
    }
    case "close":
      return `close(${wordText(step.fd)})`;
    case "unlink":
    case "mkdir":
    case "rmdir":
    case "readdir":
      return `${step.op}(${JSON.stringify(step.path)})`;
    case "rename":
      return `rename(${JSON.stringify(step.path)}, ${JSON.stringify(step.to)})`;
    case "mmap": {
      const writes = step.put === undefined ? "" : `, to write ${hex(step.put)}`;
      return `mmap ${step.length} bytes from ${step.offset} on of fd#${step.fd.fd}${writes}`;
    }
    case "walk":
      return `walk fd#${step.fd.fd} by ${step.batch === undefined ? "keys" : `batches of ${step.batch}`}`;
    default:
      return "walk ids";
  }
}
