/**
 * Access: the operations on one map's elems, with buffers and calls bound once. Three kinds: by system call, on any kernel;
 * the embedded kernel's short way; and an array's mapping (_mapped_array.ts).
 *
 * The key of the next operation is written to `key`, or given as an argument to the functions that end in 4 (maps whose key
 * is a u32); the value is in `value`. Those that end in Many take theirs from a chunk.
 */
import {
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_NOEXIST,
} from "../uapi/bpf.js";
import { EBADF, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, EPERM } from "../uapi/errno.js";
import { bpfAttr } from "../uapi/layouts.js";
import { BPF_ATTR_MAP_UPDATE_ELEM_END } from "../uapi/offsets.js";
import type { Lane } from "../codec/codec.js";
import type { DirectMap, Kernel, UserBuffer } from "../kernels/kernel.js";
import { viewOf } from "../kernels/syscalls.js";

/** Keys and values of many operations, in memory that the kernel can read: each at a multiple of 8 bytes. */
export interface Chunk {
  readonly buffer: UserBuffer;
  /** Where in the buffer the keys begin, the values, and an i32 for each key that takes what came of it. */
  readonly keysOff: number;
  readonly valuesOff: number;
  readonly retsOff: number;
  readonly rets: Int32Array;
}

/** Operations on elems; each returns 0 or a negative errno. */
export interface Access {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Whether it is the embedded kernel's short way. */
  readonly isShort: boolean;
  lookup(): number;
  /** The same with BPF_F_LOCK. */
  lookupLocked(): number;
  update(flags: number): number;
  remove(): number;
  lookup4(key: number): number;
  update4(key: number, flags: number): number;
  remove4(key: number): number;
  /** Adds the value to the elem's, lane by lane: by the short way in one atomic step. Only where the shape has lanes. */
  add(): number;
  add4(key: number): number;
  /**
   * The same for the first n keys of a chunk, in order, up to the first that fails: returns how many were done before it,
   * n if none did. A key that is not there is no failure, nor is what the mode refuses.
   */
  lookupMany(chunk: Chunk, n: number): number;
  updateMany(chunk: Chunk, n: number, flags: number): number;
  removeMany(chunk: Chunk, n: number): number;
  /** How many elems the map holds; undefined where only a walk can tell. */
  readonly count: (() => number) | undefined;
  close(): void;
}

/** Rounds up to a multiple of 8. */
export const align8 = (size: number): number => (size + 7) & ~7;

/** What of a map its operations depend on. */
export interface ElemShape {
  readonly keySize: number;
  /** As system calls have it: of a per-CPU map, all slots. */
  readonly valueSize: number;
  readonly isPerCpu: boolean;
  readonly maxEntries: number;
  /** What `add` adds to, where a value (of a per-CPU map, a slot) is made of integers. */
  readonly lanes: readonly Lane[] | undefined;
}

/** @param openOther Opens the way to take where there is no short one. */
export function openAccess(
  kernel: Kernel,
  fd: number,
  shape: ElemShape,
  openOther: typeof openSyscalls = openSyscalls,
): Access {
  const direct = kernel.direct?.(fd, shape.lanes === undefined ? {} : { lanes: shape.lanes });
  return direct === undefined ? openOther(kernel, fd, shape) : openDirect(direct);
}

function openDirect(direct: DirectMap): Access {
  return {
    key: direct.key.bytes,
    value: direct.value.bytes,
    isShort: true,
    lookup: direct.lookupElem,
    // Maps whose values have a lock have no short way.
    lookupLocked: () => -EINVAL,
    update: direct.updateElem,
    remove: direct.deleteElem,
    lookup4: direct.lookupElem4,
    update4: direct.updateElem4,
    remove4: direct.deleteElem4,
    add: direct.addElem,
    add4: direct.addElem4,
    lookupMany: ({ buffer: { address }, keysOff, valuesOff, retsOff }, n) =>
      direct.lookupMany(address + keysOff, address + valuesOff, address + retsOff, n),
    updateMany: ({ buffer: { address }, keysOff, valuesOff, retsOff }, n, flags) =>
      direct.updateMany(address + keysOff, address + valuesOff, address + retsOff, n, flags),
    removeMany: ({ buffer: { address }, keysOff, retsOff }, n) =>
      direct.deleteMany(address + keysOff, address + retsOff, n),
    count: direct.count,
    close: () => direct[Symbol.dispose](),
  };
}

/** By system call. */
export function openSyscalls(kernel: Kernel, fd: number, { keySize, valueSize, isPerCpu, lanes }: ElemShape): Access {
  const attrBytes = BPF_ATTR_MAP_UPDATE_ELEM_END;
  const keyOff = attrBytes;
  const valueOff = keyOff + align8(keySize);
  const buffer = kernel.alloc(valueOff + valueSize);
  const view = viewOf(buffer);
  const { map_fd, key, value, flags } = bpfAttr.mapElem;
  view.setUint32(map_fd.off, fd, true);
  view.setBigUint64(key.off, BigInt(buffer.address + keyOff), true);
  view.setBigUint64(value.off, BigInt(buffer.address + valueOff), true);

  // One attr serves all three: what a command does not know must be zero behind its last field.
  const attr = { ...buffer, bytes: buffer.bytes.subarray(0, attrBytes) };
  const lookup = kernel.prepare(BPF_MAP_LOOKUP_ELEM, attr);
  const updateAny = kernel.prepare(BPF_MAP_UPDATE_ELEM, attr);
  const removeCall = kernel.prepare(BPF_MAP_DELETE_ELEM, { ...attr, bytes: attr.bytes.subarray(0, value.off) });
  const update = (mode: number): number => {
    if (mode === 0) return updateAny();
    view.setUint32(flags.off, mode, true);
    const ret = updateAny();
    view.setUint32(flags.off, 0, true);
    return ret;
  };
  // No system call adds. What is there is read and written back: another thread's update in between is lost.
  const add = (): number => {
    // One CPU's value cannot be written alone; and the embedded kernel, which adds to it by the short way, has none for an
    // fd that may not both read and write.
    if (isPerCpu) return kernel.direct === undefined ? -EOPNOTSUPP : -EPERM;
    const delta = new DataView(view.buffer.slice(view.byteOffset + valueOff, view.byteOffset + valueOff + valueSize));
    const ret = lookup();
    if (ret === -ENOENT) buffer.bytes.fill(0, valueOff);
    else if (ret !== 0) return ret;
    for (const lane of lanes ?? []) addLane(view, valueOff + lane.offset, delta, lane);
    return updateAny();
  };
  const putKey = (k: number): void => view.setUint32(keyOff, k, true);
  /** Calls for one key after the other: points attr at each in turn, then back at the buffer's own. */
  const callMany = (
    { buffer: { address }, keysOff, valuesOff, rets }: Chunk,
    n: number,
    one: () => number,
    benign: number,
  ): number => {
    const point = (keyAt: number, valueAt: number): void => {
      view.setBigUint64(key.off, BigInt(keyAt), true);
      view.setBigUint64(value.off, BigInt(valueAt), true);
    };
    let done = 0;
    for (; done < n; done++) {
      point(address + keysOff + done * align8(keySize), address + valuesOff + done * align8(valueSize));
      const ret = one();
      rets[done] = ret;
      if (ret !== 0 && ret !== benign) break;
    }
    point(buffer.address + keyOff, buffer.address + valueOff);
    return done;
  };
  return {
    key: buffer.bytes.subarray(keyOff, keyOff + keySize),
    value: buffer.bytes.subarray(valueOff),
    isShort: false,
    lookup,
    lookupLocked: () => {
      view.setUint32(flags.off, BPF_F_LOCK, true);
      const ret = lookup();
      view.setUint32(flags.off, 0, true);
      return ret;
    },
    update,
    remove: removeCall,
    lookup4: (k) => {
      putKey(k);
      return lookup();
    },
    update4: (k, mode) => {
      putKey(k);
      return update(mode);
    },
    remove4: (k) => {
      putKey(k);
      return removeCall();
    },
    add,
    add4: (k) => {
      putKey(k);
      return add();
    },
    lookupMany: (chunk, n) => callMany(chunk, n, lookup, -ENOENT),
    updateMany: (chunk, n, mode) => callMany(chunk, n, () => update(mode), refusalOf(mode)),
    removeMany: (chunk, n) => callMany(chunk, n, removeCall, -ENOENT),
    count: undefined,
    close: () => buffer[Symbol.dispose](),
  };
}

/** The errno by which a mode refuses a key; 0 where it refuses none. */
export function refusalOf(flags: number): number {
  if ((flags & BPF_NOEXIST) !== 0) return -EEXIST;
  return (flags & BPF_EXIST) !== 0 ? -ENOENT : 0;
}

function addLane(to: DataView, at: number, delta: DataView, { offset, width }: Lane): void {
  if (width === 8) to.setBigUint64(at, to.getBigUint64(at, true) + delta.getBigUint64(offset, true), true);
  else if (width === 4) to.setUint32(at, to.getUint32(at, true) + delta.getUint32(offset, true), true);
  else if (width === 2) to.setUint16(at, to.getUint16(at, true) + delta.getUint16(offset, true), true);
  else to.setUint8(at, to.getUint8(at) + delta.getUint8(offset));
}

const closed = (): number => -EBADF;
const closedMany = ({ rets }: Chunk): number => {
  rets[0] = -EBADF;
  return 0;
};

const none = new Uint8Array();

/** What a closed map has: every operation is refused with EBADF, as a closed fd's are. */
export const closedAccess: Access = {
  key: none,
  value: none,
  isShort: false,
  lookup: closed,
  lookupLocked: closed,
  update: closed,
  remove: closed,
  lookup4: closed,
  update4: closed,
  remove4: closed,
  add: closed,
  add4: closed,
  lookupMany: closedMany,
  updateMany: closedMany,
  removeMany: closedMany,
  count: undefined,
  close: () => {},
};
