/**
 * One map by bpf(), made for tests of dying threads: any thread can make a call on it, with buffers that are the survivor's. The
 * keys are numbers, each with a key of the map's size; a value is made from its key and a version, so that a torn one is none.
 */
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import type { DirectMap, Kernel, UserBuffer } from "../../src/kernels/kernel.js";
import { fillAttr, mapCreate, viewOf } from "../../src/kernels/syscalls.js";
import {
  BPF_ATTR_SIZE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_UPDATE_ELEM,
  E2BIG,
  EEXIST,
  ENOENT,
  bpfAttr,
} from "../../src/uapi/index.js";

/** A map to test with. */
export interface Shape {
  readonly name: string;
  readonly mapType: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags?: number;
  /** For adding: where the integers of a value lie. */
  readonly lanes: readonly { readonly offset: number; readonly width: number }[];
  /** Of an LRU hash: whether it keeps the true order. */
  readonly exact?: boolean;
  /** What stands in the keys of 0, 1, 2, ... where that is another number. */
  readonly keyNumbers?: readonly number[];
}

export const isLru = ({ mapType }: Shape): boolean =>
  mapType === BPF_MAP_TYPE_LRU_HASH || mapType === BPF_MAP_TYPE_LRU_PERCPU_HASH;
export const isHash = (shape: Shape): boolean =>
  shape.mapType === BPF_MAP_TYPE_HASH || shape.mapType === BPF_MAP_TYPE_PERCPU_HASH || isLru(shape);
export const isPerCpu = ({ mapType }: Shape): boolean =>
  mapType === BPF_MAP_TYPE_PERCPU_HASH ||
  mapType === BPF_MAP_TYPE_PERCPU_ARRAY ||
  mapType === BPF_MAP_TYPE_LRU_PERCPU_HASH;
export const isPlainArray = ({ mapType }: Shape): boolean => mapType === BPF_MAP_TYPE_ARRAY;

const align8 = (size: number): number => (size + 7) & ~7;

/** What a map holds: the bytes of each key's value, of all CPUs. */
export type Content = ReadonlyMap<number, Uint8Array>;

/** How many bytes a value has for system calls. */
export function valueBytesOf(shape: Shape, cpus: number): number {
  return isPerCpu(shape) ? align8(shape.valueSize) * cpus : shape.valueSize;
}

/** The value of a key: every byte tells key and version. What pads the slot of a CPU is zero. */
export function valueOf(shape: Shape, cpus: number, key: number, version: number): Uint8Array {
  const bytes = new Uint8Array(valueBytesOf(shape, cpus));
  const slot = isPerCpu(shape) ? align8(shape.valueSize) : bytes.length;
  for (let i = 0; i < bytes.length; i++) {
    if (i % slot < shape.valueSize) bytes[i] = key * 37 + version * 101 + i * 13;
  }
  return bytes;
}

/** A value with the same delta added to each of its lanes: of a per-CPU value, to those of one CPU. */
export function added(shape: Shape, value: Uint8Array, delta: Uint8Array, cpu: number): Uint8Array {
  const sum = value.slice();
  const start = isPerCpu(shape) ? align8(shape.valueSize) * cpu : 0;
  for (const { offset, width } of shape.lanes) {
    for (let i = 0, carry = 0; i < width; i++) {
      carry += sum[start + offset + i]! + delta[offset + i]!;
      sum[start + offset + i] = carry;
      carry >>= 8;
    }
  }
  return sum;
}

export class Hands {
  readonly shape: Shape;
  readonly cpus: number;
  readonly fd: number;
  readonly valueBytes: number;
  readonly #survivor: EmbeddedKernel;
  readonly #keys = new Map<number, Uint8Array>();
  #direct: DirectMap | undefined;
  readonly #others: UserBuffer[] = [];
  readonly #attr: UserBuffer;
  readonly #key: UserBuffer;
  readonly #next: UserBuffer;
  readonly #value: UserBuffer;
  readonly #batch: UserBuffer;

  /** @param fd A map of this shape; a new one is created unless it is given. */
  constructor(survivor: EmbeddedKernel, shape: Shape, fd = created(survivor, shape)) {
    this.shape = shape;
    this.cpus = survivor.possibleCpus;
    this.fd = fd;
    this.valueBytes = valueBytesOf(shape, this.cpus);
    this.#survivor = survivor;
    this.#attr = survivor.alloc(BPF_ATTR_SIZE);
    this.#key = survivor.alloc(shape.keySize);
    this.#next = survivor.alloc(shape.keySize);
    this.#value = survivor.alloc(this.valueBytes);
    // Cursors, keys, values.
    this.#batch = survivor.alloc(8 + shape.maxEntries * (shape.keySize + this.valueBytes));
  }

  /** The bytes of a key: its number stands at both ends. */
  keyBytes(key: number): Uint8Array {
    let bytes = this.#keys.get(key);
    if (bytes === undefined) {
      bytes = new Uint8Array(this.shape.keySize);
      const view = new DataView(bytes.buffer);
      const number = this.shape.keyNumbers?.[key] ?? key;
      view.setUint32(bytes.length - 4, number, true);
      view.setUint32(0, number, true);
      this.#keys.set(key, bytes);
    }
    return bytes;
  }

  #keyOf(bytes: Uint8Array): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const number = view.getUint32(0, true);
    if (view.getUint32(bytes.length - 4, true) !== number) throw new Error(`A key is torn: ${bytes.join()}`);
    const key = this.shape.keyNumbers?.indexOf(number) ?? -1;
    return key < 0 ? number : key;
  }

  value(key: number, version: number): Uint8Array {
    return valueOf(this.shape, this.cpus, key, version);
  }

  #elem(kernel: Kernel, cmd: number, key: number, flags = 0): number {
    this.#key.bytes.set(this.keyBytes(key));
    fillAttr(this.#attr, bpfAttr.mapElem, {
      map_fd: this.fd,
      key: this.#key.address,
      value: cmd === BPF_MAP_DELETE_ELEM ? 0 : this.#value.address,
      flags,
    });
    return kernel.bpf(cmd, this.#attr);
  }

  update(kernel: Kernel, key: number, value: Uint8Array, flags = 0): number {
    this.#value.bytes.set(value);
    return this.#elem(kernel, BPF_MAP_UPDATE_ELEM, key, flags);
  }

  remove(kernel: Kernel, key: number): number {
    return this.#elem(kernel, BPF_MAP_DELETE_ELEM, key);
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  take(kernel: Kernel, key: number): number {
    return this.#elem(kernel, BPF_MAP_LOOKUP_AND_DELETE_ELEM, key);
  }

  /** The value, or a negative errno. */
  lookup(kernel: Kernel, key: number): Uint8Array | number {
    this.#value.bytes.fill(0xee);
    const ret = this.#elem(kernel, BPF_MAP_LOOKUP_ELEM, key);
    return ret < 0 ? ret : this.#value.bytes.slice();
  }

  /** The key that follows, or a negative errno. Keys are 0 or more. */
  nextKey(kernel: Kernel, key: number | undefined): number {
    if (key !== undefined) this.#key.bytes.set(this.keyBytes(key));
    fillAttr(this.#attr, bpfAttr.mapElem, {
      map_fd: this.fd,
      key: key === undefined ? 0 : this.#key.address,
      value: this.#next.address,
    });
    const ret = kernel.bpf(BPF_MAP_GET_NEXT_KEY, this.#attr);
    return ret < 0 ? ret : this.#keyOf(this.#next.bytes);
  }

  /** All elems by one BPF_MAP_LOOKUP_BATCH; or those that a cursor leaves. */
  lookupBatch(kernel: Kernel, cursor?: number, cmd = BPF_MAP_LOOKUP_BATCH): Content {
    const { keySize, maxEntries } = this.shape;
    const keysOff = 8;
    const valuesOff = keysOff + keySize * maxEntries;
    const { address, bytes } = this.#batch;
    viewOf(this.#batch).setUint32(4, cursor ?? 0, true);
    fillAttr(this.#attr, bpfAttr.batch, {
      in_batch: cursor === undefined ? 0 : address + 4,
      out_batch: address,
      keys: address + keysOff,
      values: address + valuesOff,
      count: maxEntries,
      map_fd: this.fd,
    });
    const ret = kernel.bpf(cmd, this.#attr);
    if (ret !== 0 && ret !== -ENOENT) throw new Error(`A batch gave ${ret}`);
    const content = new Map<number, Uint8Array>();
    for (let i = 0, n = viewOf(this.#attr).getUint32(bpfAttr.batch.count.off, true); i < n; i++) {
      const key = this.#keyOf(bytes.subarray(keysOff + i * keySize, keysOff + (i + 1) * keySize));
      const valueOff = valuesOff + i * this.valueBytes;
      content.set(key, bytes.slice(valueOff, valueOff + this.valueBytes));
    }
    return content;
  }

  /** The same, deleted. */
  takeBatch(kernel: Kernel): Content {
    return this.lookupBatch(kernel, undefined, BPF_MAP_LOOKUP_AND_DELETE_BATCH);
  }

  count(): number {
    return (this.#direct ??= this.#survivor.direct(this.fd)!).count();
  }

  /**
   * All that the map holds. Looked at in each way there is: they must agree.
   *
   * @param universe Keys below this are looked up one by one.
   */
  read(universe: number): Content {
    const content = new Map<number, Uint8Array>();
    for (let key = 0; key < universe; key++) {
      const value = this.lookup(this.#survivor, key);
      if (typeof value !== "number") content.set(key, value);
      else if (value !== -ENOENT) throw new Error(`A lookup of key ${key} gave ${value}`);
    }
    const walked = new Set<number>();
    for (let key = this.nextKey(this.#survivor, undefined); key >= 0; key = this.nextKey(this.#survivor, key)) {
      if (walked.has(key)) throw new Error(`A walk meets key ${key} twice`);
      walked.add(key);
    }
    expectKeys("A walk", [...walked], content);
    const batch = this.lookupBatch(this.#survivor);
    expectContent("A batch", batch, content);
    if (this.count() !== content.size) throw new Error(`The count is ${this.count()}: expected ${content.size}`);
    return content;
  }

  /** Makes the map hold these keys, with values of a version. */
  putAll(keys: Iterable<number>, version: number): Content {
    const content = new Map<number, Uint8Array>();
    for (const key of keys) {
      const value = this.value(key, version);
      expectReturned(`An update of key ${key}`, this.update(this.#survivor, key, value), 0);
      content.set(key, value);
    }
    return content;
  }

  /**
   * Uses the map to the full: all of its capacity must be there, and not more. Leaves a hash empty.
   *
   * @param content What it holds.
   */
  useFully(content: Content): void {
    const { maxEntries } = this.shape;
    const all = [...Array(maxEntries).keys()];
    if (!isHash(this.shape)) {
      const written = this.putAll(all, 7);
      expectContent("The array, overwritten,", this.read(maxEntries), written);
      return;
    }
    const survivor = this.#survivor;
    // Keys of their own, to begin with.
    const had = [...content.keys()];
    const others = all.map((key) => 1000 + key).slice(0, maxEntries - had.length);
    this.putAll(others, 6);
    if (isLru(this.shape)) {
      this.useFullLru();
      return;
    }
    expectReturned("An update of a full map", this.update(survivor, 999, this.value(999, 6)), -E2BIG);
    expectReturned(
      "An insert of a key that is there",
      this.update(survivor, others[0] ?? had[0]!, this.value(0, 1), 1),
      -EEXIST,
    );
    for (const key of [...had, ...others]) expectReturned(`A deletion of key ${key}`, this.remove(survivor, key), 0);
    expectContent("The map, emptied,", this.read(maxEntries), new Map());
    this.putAll(all, 7);
    const written = this.putAll(all, 8);
    expectReturned("An update of a full map", this.update(survivor, 999, this.value(999, 6)), -E2BIG);
    expectContent("The map, filled and overwritten,", this.read(maxEntries), written);
    for (const key of all) expectReturned(`A deletion of key ${key}`, this.remove(survivor, key), 0);
    expectContent("The map, emptied again,", this.read(maxEntries), new Map());
  }

  /** The same of an LRU hash that is full: it stays so, whatever comes. Leaves it empty. */
  useFullLru(): void {
    const { maxEntries, exact } = this.shape;
    const survivor = this.#survivor;
    const keys = [...Array(2 * maxEntries).keys()].map((key) => 2000 + key);
    for (const key of keys) {
      expectReturned("An update of a full map", this.update(survivor, key, this.value(key, 7)), 0);
      expectReturned("The count", this.count(), maxEntries);
      expectReturned("The new elem's lookup", Math.min(0, Number(this.lookup(survivor, key)) || 0), 0);
    }
    const content = this.lookupBatch(survivor);
    for (const [key, value] of content) {
      if (key >= 2000) expectContent("An elem", new Map([[key, value]]), new Map([[key, this.value(key, 7)]]));
    }
    if (exact === true)
      expectKeys(
        "An exact map",
        [...content.keys()],
        new Map(keys.slice(maxEntries).map((key) => [key, this.value(key, 7)])),
      );
    for (const key of content.keys()) expectReturned(`A deletion of key ${key}`, this.remove(survivor, key), 0);
    expectContent("The map, emptied,", this.read(0), new Map());
  }

  /** Has a buffer given back with those of its own. */
  alsoClose(buffer: UserBuffer): void {
    this.#others.push(buffer);
  }

  /** Gives the buffers back; and closes the fd, unless told otherwise. */
  close(alsoFd = true): void {
    this.#direct?.[Symbol.dispose]();
    const own = [this.#attr, this.#key, this.#next, this.#value, this.#batch];
    for (const buffer of [...own, ...this.#others]) buffer[Symbol.dispose]();
    if (alsoFd) expectReturned("close", this.#survivor.close(this.fd), 0);
  }
}

function created(kernel: EmbeddedKernel, shape: Shape): number {
  const fd = mapCreate(kernel, shape);
  if (fd < 0) throw new Error(`Creating "${shape.name}" gave ${fd}`);
  if (shape.exact === true) {
    const direct = kernel.direct(fd)!;
    expectReturned("setExact", direct.setExact(), 0);
    direct[Symbol.dispose]();
  }
  return fd;
}

export function expectReturned(what: string, returned: number, wanted: number): void {
  if (returned !== wanted) throw new Error(`${what} gave ${returned}: expected ${wanted}`);
}

function expectKeys(what: string, keys: readonly number[], content: Content): void {
  const sorted = (keys: Iterable<number>): string => [...keys].sort((a, b) => a - b).join();
  const [found, wanted] = [sorted(keys), sorted(content.keys())];
  if (found !== wanted) throw new Error(`${what} has the keys ${found}: expected ${wanted}`);
}

/** How two contents differ; undefined if they do not. */
export function difference(content: Content, wanted: Content): string | undefined {
  const keys = new Set([...content.keys(), ...wanted.keys()]);
  for (const key of keys) {
    const [a, b] = [content.get(key), wanted.get(key)];
    if (a === undefined || b === undefined) return `key ${key} is ${a === undefined ? "missing" : "there"}`;
    const at = a.findIndex((byte, i) => byte !== b[i]);
    if (at >= 0 || a.length !== b.length) return `key ${key} has another value from byte ${at} on`;
  }
  return undefined;
}

export function expectContent(what: string, content: Content, wanted: Content): void {
  const text = difference(content, wanted);
  if (text !== undefined) throw new Error(`${what} is not what was written: ${text}`);
}
