/**
 * Commands on one elem: map update (push, enqueue), lookup (peek), getnext, delete, and pop (dequeue).
 */
import type { UserBuffer } from "../kernels/kernel.js";
import {
  BPF_ANY,
  BPF_EXIST,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_NOEXIST,
} from "../uapi/bpf.js";
import { ENOENT } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import { elemTypes, writeElem } from "./btf_value.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { formatHex, isPerCpu, perCpuStride, printElem, valueBufferSize } from "./elem_format.js";
import { mapUsage } from "./help.js";
import { takeMap } from "./map_handle.js";
import { takeProg } from "./prog_handle.js";
import type { MapInfo } from "../kernels/syscalls.js";
import type { Syscalls } from "./syscalls.js";

const UPDATE_FLAGS: readonly (readonly [word: string, flags: number])[] = [
  ["any", BPF_ANY],
  ["noexist", BPF_NOEXIST],
  ["exist", BPF_EXIST],
];

/** What a command takes after MAP, and has not got yet. */
interface ElemSpec {
  /** Where key and value go; undefined when the command, or the map, takes none. */
  readonly key?: UserBuffer | undefined;
  readonly value?: UserBuffer | undefined;
  /** The command takes UPDATE_FLAGS. */
  readonly flags?: boolean;
}

/** map update MAP [key DATA] [value VALUE] [UPDATE_FLAGS] */
export async function mapUpdate(context: Context, args: Args): Promise<void> {
  if (args.left < 2) return mapUsage(context);
  const bpf = await context.open("change");
  const map = takeMap(context, bpf, args);
  using key = allocKey(bpf, map.info);
  using value = allocValue(bpf, map.info);
  const keyPointer = map.info.keySize === 0 ? undefined : key;
  const flags = takeElem(context, bpf, args, map.info, {
    key: keyPointer,
    value: map.info.valueSize === 0 ? undefined : value,
    flags: true,
  });
  const result = bpf.updateElem(map.fd, keyPointer, value, flags);
  if (result < 0) context.fail(`update failed: ${errnoMessage(-result)}`, result);
  context.out.done();
}

/** map lookup MAP [key DATA] */
export async function mapLookup(context: Context, args: Args): Promise<void> {
  if (args.left < 2) return mapUsage(context);
  const bpf = await context.open("read");
  const map = takeMap(context, bpf, args);
  using key = allocKey(bpf, map.info);
  using value = allocValue(bpf, map.info);
  const keyPointer = map.info.keySize === 0 ? undefined : key;
  takeElem(context, bpf, args, map.info, { key: keyPointer });
  const result = bpf.lookupElem(map.fd, keyPointer, value);
  if (result === 0) printOne(context, bpf, map.info, key, value);
  else if (result === -ENOENT) notFound(context, keyBytes(key, map.info));
  else context.fail(`lookup failed: ${errnoMessage(-result)}`, result);
}

/** map pop MAP, map dequeue MAP */
export async function mapPop(context: Context, args: Args): Promise<void> {
  if (args.left < 2) return mapUsage(context);
  const bpf = await context.open("change");
  const map = takeMap(context, bpf, args);
  if (context.strict && args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  using key = allocKey(bpf, map.info);
  using value = allocValue(bpf, map.info);
  const result = bpf.lookupAndDeleteElem(map.fd, map.info.keySize === 0 ? undefined : key, value);
  if (result === 0) {
    printOne(context, bpf, map.info, key, value);
  } else if (result === -ENOENT && !context.strict) {
    if (context.out.json === undefined) context.out.text("Error: empty map\n");
    else context.out.json.null();
    context.failSilently(result);
  } else {
    context.fail(`pop failed: ${result === -ENOENT ? "the map is empty" : errnoMessage(-result)}`, result);
  }
}

/** map getnext MAP [key DATA] */
export async function mapGetNext(context: Context, args: Args): Promise<void> {
  if (args.left < 2) return mapUsage(context);
  const bpf = await context.open("read");
  const map = takeMap(context, bpf, args);
  using key = allocKey(bpf, map.info);
  using nextKey = allocKey(bpf, map.info);
  const from = args.left === 0 ? undefined : key;
  if (from !== undefined) takeElem(context, bpf, args, map.info, { key });
  const result = bpf.getNextKey(map.fd, from, nextKey);
  if (result < 0) context.fail(`can't get next key: ${errnoMessage(-result)}`, result);

  const { json } = context.out;
  const next = keyBytes(nextKey, map.info);
  if (json === undefined) {
    const fromText = from === undefined ? "key: None\n" : `key:\n${formatHex(keyBytes(from, map.info))}\n`;
    context.out.text(`${fromText}next key:\n${formatHex(next)}\n`);
    return;
  }
  json.startObject();
  json.name("key");
  if (from === undefined) json.null();
  else json.bytes(keyBytes(from, map.info));
  json.name("next_key");
  json.bytes(next);
  json.endObject();
}

/** map delete MAP key DATA */
export async function mapDelete(context: Context, args: Args): Promise<void> {
  if (args.left < 2) return mapUsage(context);
  const bpf = await context.open("change");
  const map = takeMap(context, bpf, args);
  using key = allocKey(bpf, map.info);
  takeElem(context, bpf, args, map.info, { key });
  const result = bpf.deleteElem(map.fd, key);
  if (result < 0) context.fail(`delete failed: ${errnoMessage(-result)}`, result);
  context.out.done();
}

/** Memory for a key; at least a byte, for maps that have none. */
export function allocKey(bpf: Syscalls, info: MapInfo): UserBuffer {
  return bpf.kernel.alloc(Math.max(info.keySize, 1));
}

/** Memory for a value, on a per-CPU map for all of them. */
export function allocValue(bpf: Syscalls, info: MapInfo): UserBuffer {
  return bpf.kernel.alloc(Math.max(valueBufferSize(info, bpf.kernel.possibleCpus), 1));
}

/** The key in its buffer. */
export function keyBytes(key: UserBuffer, info: MapInfo): Uint8Array {
  return key.bytes.subarray(0, info.keySize);
}

/** The value in its buffer. */
export function valueBytes(bpf: Syscalls, value: UserBuffer, info: MapInfo): Uint8Array {
  return value.bytes.subarray(0, valueBufferSize(info, bpf.kernel.possibleCpus));
}

/** Prints an elem that was found; by its types, where the map has BTF. */
function printOne(context: Context, bpf: Syscalls, info: MapInfo, key: UserBuffer, value: UserBuffer): void {
  const { out, strict } = context;
  const types = elemTypes(context, bpf, info);
  const bytes = [keyBytes(key, info), valueBytes(bpf, value, info)] as const;
  if (types === undefined) {
    printElem(out, info, ...bytes);
  } else if (out.json === undefined) {
    writeElem(out.pretty(), types, info, { plain: true, strict }, ...bytes);
    out.text("\n");
  } else {
    printElem(out, info, ...bytes, (json) => writeElem(json, types, info, { plain: false, strict }, ...bytes));
  }
}

function notFound(context: Context, key: Uint8Array): never {
  if (context.strict) {
    const what = key.length === 0 ? "the map is empty" : `the map has no key ${formatHex(key).replace(/\s+/g, " ")}`;
    return context.fail(`lookup failed: ${what}`, -ENOENT);
  }
  if (context.out.json === undefined) context.out.text(`key:\n${formatHex(key)}\n\nNot found\n`);
  else context.out.json.null();
  return context.failSilently(-ENOENT);
}

/** Reads the rest of a command: key, value and flags in any order. Returns the flags. */
function takeElem(context: Context, bpf: Syscalls, args: Args, info: MapInfo, spec: ElemSpec): number {
  let { key, value, flags: wantsFlags = false } = spec;
  let flags = BPF_ANY;
  while (args.left > 0) {
    const flag = UPDATE_FLAGS.find(([word]) => args.is(word));
    if (args.takeIf("key")) {
      if (key === undefined)
        throw new ArgsError(info.keySize === 0 || spec.key === undefined ? "unnecessary key" : "duplicate key");
      key.bytes.set(args.takeBytes("key", info.keySize));
      key = undefined;
    } else if (args.takeIf("value")) {
      if (value === undefined) throw new ArgsError(spec.value === undefined ? "unnecessary value" : "duplicate value");
      takeValue(context, bpf, args, info, value);
      value = undefined;
    } else if (flag !== undefined) {
      const word = args.take();
      if (!wantsFlags) throw new ArgsError(`flags specified multiple times: ${word}`);
      flags = flag[1];
      wantsFlags = false;
    } else {
      throw new ArgsError(`expected key or value, got: ${args.next ?? ""}`);
    }
  }
  if (key !== undefined) throw new ArgsError("did not find key");
  if (value !== undefined) throw new ArgsError("did not find value");
  return flags;
}

/** Reads VALUE into its buffer: bytes, the same for every CPU; on a map of maps a MAP, on a prog_array a PROG, as its fd. */
function takeValue(context: Context, bpf: Syscalls, args: Args, info: MapInfo, value: UserBuffer): void {
  if (info.type === BPF_MAP_TYPE_ARRAY_OF_MAPS || info.type === BPF_MAP_TYPE_HASH_OF_MAPS) {
    if (args.left < 2) throw new ArgsError("not enough value arguments for map in map");
    setFd(value, takeMap(context, bpf, args).fd);
  } else if (info.type === BPF_MAP_TYPE_PROG_ARRAY) {
    if (args.left < 2) throw new ArgsError("not enough value arguments for map of progs");
    if (args.is("id")) {
      context.out.note(
        "Warning: updating program array via MAP_ID, make sure this map is kept open\n" +
          "         by some process or pinned otherwise update will be lost",
      );
    }
    setFd(value, takeProg(context, bpf, args));
  } else {
    const bytes = args.takeBytes("value", info.valueSize);
    const stride = isPerCpu(info.type) ? perCpuStride(info.valueSize) : value.bytes.length;
    for (let off = 0; off < value.bytes.length; off += stride) value.bytes.set(bytes, off);
  }
}

function setFd(value: UserBuffer, fd: number): void {
  new DataView(value.bytes.buffer, value.bytes.byteOffset).setInt32(0, fd, true);
}
