/**
 * The jobs of maps' lives: maps are created and closed by several workers at once, and used while they are being closed.
 */
import { ArrayMap, type EmbeddedKernel, HashMap, PerCpuArray, PerCpuHashMap, bytes, u32, u64 } from "tsbpf";
import {
  BPF_ATTR_SIZE,
  BPF_F_NO_PREALLOC,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_INFO_ID_OFF,
  BPF_MAP_INFO_SIZE,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  EBADF,
  EEXIST,
  EINVAL,
  ENOENT,
  bpfAttr,
} from "tsbpf/uapi";
import { RawMap } from "../raw_map.js";
import { forMs, randomFrom } from "./clock.js";
import { expectOneOf } from "./tearing.js";

export interface CreateArg {
  readonly ms: number;
  readonly seed: number;
}

const value = bytes(40);
const ones = new Uint8Array(value.size).fill(255);

/** A map of any kind whose values are `bytes(40)`, or (per-CPU) lists of them. */
interface AnyMap {
  readonly id: number;
  count(): number;
  get(key: number): unknown;
  set(key: number, value: never): boolean;
  close(): void;
}

const hashes = [HashMap, PerCpuHashMap];
const arrays = [ArrayMap, PerCpuArray];

/** Whether a value, or that of each CPU, is there and zero. */
function isZero(found: unknown): boolean {
  const values = found instanceof Uint8Array ? [found] : ((found ?? []) as Uint8Array[]);
  return values.length > 0 && values.every((bytes) => bytes.every((byte) => byte === 0));
}

/** Creates maps of all kinds and sizes, finds each empty or zero, fills and closes it. Returns their ids. */
export function createAndClose(kernel: EmbeddedKernel, { ms, seed }: CreateArg): number[] {
  const random = randomFrom(seed);
  const ids: number[] = [];
  for (const goOn = forMs(ms); goOn();) {
    const maxEntries = 1 + random(random(10) === 0 ? 20_000 : 100);
    const perCpu = random(2);
    const isHash = random(2) === 0;
    const map: AnyMap = isHash
      ? hashes[perCpu]!.create(kernel, { key: u32, value, maxEntries, mapFlags: random(2) * BPF_F_NO_PREALLOC })
      : arrays[perCpu]!.create(kernel, { value, maxEntries });
    ids.push(map.id);
    const all = (perCpu === 1 ? Array.from({ length: kernel.possibleCpus }, () => ones) : ones) as never;
    const keys = Math.min(maxEntries, 20);
    if (isHash && map.count() !== 0) throw new Error(`A new hash map has ${map.count()} elems`);
    for (const key of [...Array(keys).keys(), maxEntries - 1]) {
      const found = map.get(key);
      if (isHash ? found !== undefined : !isZero(found)) {
        throw new Error(`Elem ${key} of a new map is ${String(found)}`);
      }
    }
    for (let key = 0; key < keys; key++) map.set(key, all);
    map.set(maxEntries - 1, all);
    if (isHash && map.count() !== keys + (maxEntries > keys ? 1 : 0)) throw new Error(`${map.count()} elems were set`);
    map.close();
  }
  return ids;
}

/** The value of key 7 in all the maps that `share` makes. */
const treasure = 0x1234_5678_9abc_def0n;

export interface ShareArg {
  /** The fds that were open a moment ago, one for each worker that makes maps. */
  readonly fds: SharedArrayBuffer;
  readonly role: "make" | "use" | "pin";
  readonly index: number;
  readonly ms: number;
}

/**
 * Makes maps and closes them, or uses the fds of such maps, or pins them. An fd may be closed at any moment, and may be
 * another map's the next: every answer must be right for some moment.
 *
 * @returns How many maps were made; how many lookups hit; how many maps were opened by name.
 */
export function share(kernel: EmbeddedKernel, { fds, role, index, ms }: ShareArg): number {
  const words = new Int32Array(fds);
  const random = randomFrom(index + 77);
  if (role === "make") return make(kernel, words, index, forMs(ms), random);
  using raw = new RawMap(kernel, -1, 4, 8);
  const someFd = (): number => Atomics.load(words, random(words.length));
  return role === "use" ? use(raw, someFd, forMs(ms)) : pin(kernel, raw, someFd, index, forMs(ms));
}

function make(
  kernel: EmbeddedKernel,
  fds: Int32Array,
  index: number,
  goOn: () => boolean,
  random: (below: number) => number,
): number {
  let made = 0;
  for (; goOn(); made++) {
    const map =
      random(3) === 0
        ? ArrayMap.create(kernel, { value: u64, maxEntries: 8, btf: false })
        : HashMap.create(kernel, {
            key: u32,
            value: u64,
            maxEntries: 8,
            mapFlags: random(2) === 0 ? BPF_F_NO_PREALLOC : 0,
            // No fd is of anything but a map.
            btf: false,
          });
    map.set(7, treasure);
    Atomics.store(fds, index, map.fd);
    for (let pause = random(2000); pause > 0; pause--) Atomics.load(fds, index);
    map.close();
  }
  return made;
}

function checkTreasure(raw: RawMap): void {
  const value = raw.value.getBigUint64(0, true);
  // An array has its elems before they are set.
  if (value !== treasure && value !== 0n) throw new Error(`Key 7 has ${value.toString(16)}`);
}

function use(raw: RawMap, someFd: () => number, goOn: () => boolean): number {
  let hits = 0;
  while (goOn()) {
    raw.fd = someFd();
    raw.key.setUint32(0, 7, true);
    if (expectOneOf(raw.lookup(), 0, -ENOENT, -EBADF) === 0) {
      checkTreasure(raw);
      hits++;
    }
    raw.value.setBigUint64(0, treasure, true);
    expectOneOf(raw.update(), 0, -EBADF);
    raw.key.setUint32(0, 8, true);
    expectOneOf(raw.remove(), -ENOENT, -EBADF, -EINVAL);
    expectOneOf(raw.nextKey(), 0, -ENOENT, -EBADF);
  }
  return hits;
}

/** Gives names to fds of others; what has a name must be a map that is alive, however its fds end. */
function pin(kernel: EmbeddedKernel, raw: RawMap, someFd: () => number, index: number, goOn: () => boolean): number {
  const path = `/sys/fs/bpf/shared_${index}`;
  using name = kernel.alloc(64);
  name.bytes.set(new TextEncoder().encode(path));
  using info = kernel.alloc(BPF_MAP_INFO_SIZE);
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  const view = new DataView(attr.bytes.buffer, attr.bytes.byteOffset, BPF_ATTR_SIZE);
  const call = (cmd: number, fields: [{ off: number; size: number }, number][]): number => {
    attr.bytes.fill(0);
    for (const [{ off, size }, value] of fields) {
      if (size === 8) view.setBigUint64(off, BigInt(value), true);
      else view.setUint32(off, value, true);
    }
    return kernel.bpf(cmd, attr);
  };
  const { obj, info: infoAttr, getId } = bpfAttr;
  let opened = 0;
  while (goOn()) {
    const pinned = call(BPF_OBJ_PIN, [
      [obj.pathname, name.address],
      [obj.bpf_fd, someFd()],
    ]);
    if (expectOneOf(pinned, 0, -EINVAL, -EEXIST) !== 0) continue;
    const fd = call(BPF_OBJ_GET, [[obj.pathname, name.address]]);
    if (fd < 0) throw new Error(`A name that was just given leads to errno ${-fd}`);
    const told = call(BPF_OBJ_GET_INFO_BY_FD, [
      [infoAttr.bpf_fd, fd],
      [infoAttr.info_len, BPF_MAP_INFO_SIZE],
      [infoAttr.info, info.address],
    ]);
    expectOneOf(told, 0);
    const id = new DataView(info.bytes.buffer, info.bytes.byteOffset).getUint32(BPF_MAP_INFO_ID_OFF, true);
    const again = call(BPF_MAP_GET_FD_BY_ID, [[getId.map_id, id]]);
    if (again < 0) throw new Error(`A map that has a name has no id any more: errno ${-again}`);
    raw.fd = again;
    raw.key.setUint32(0, 7, true);
    if (expectOneOf(raw.lookup(), 0, -ENOENT) === 0) checkTreasure(raw);
    kernel.close(again);
    kernel.close(fd);
    expectOneOf(kernel.unlink(path), 0);
    opened++;
  }
  return opened;
}
