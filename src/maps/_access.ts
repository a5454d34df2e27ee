/**
 * Access: the operations on one map's elems, with buffers and calls bound once. Two kinds: by system call, on any kernel;
 * and the embedded kernel's short way.
 *
 * The key of the next operation is written to `view` at `keyOff`, or given as an argument to the functions that end in 4
 * (maps whose key is a u32); the value is at `valueOff`.
 */
import { BPF_MAP_DELETE_ELEM, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM } from "../uapi/bpf.js";
import { EBADF, ENOENT, EOPNOTSUPP, EPERM } from "../uapi/errno.js";
import { bpfAttr } from "../uapi/layouts.js";
import { BPF_ATTR_MAP_UPDATE_ELEM_END } from "../uapi/offsets.js";
import type { Lane } from "../codec/codec.js";
import type { DirectMap, Kernel } from "../kernels/kernel.js";
import { viewOf } from "../kernels/syscalls.js";

/** Operations on elems; each returns 0 or a negative errno. */
export interface Access {
  readonly view: DataView;
  readonly keyOff: number;
  readonly valueOff: number;
  lookup(): number;
  update(flags: number): number;
  remove(): number;
  lookup4(key: number): number;
  update4(key: number, flags: number): number;
  remove4(key: number): number;
  /** Adds the value to the elem's, lane by lane: by the short way in one atomic step. Only where the shape has lanes. */
  add(): number;
  add4(key: number): number;
  /** How many elems the map holds; undefined where only a walk can tell. */
  readonly count: (() => number) | undefined;
  close(): void;
}

const align8 = (size: number): number => (size + 7) & ~7;

/** What of a map its operations depend on. */
export interface ElemShape {
  readonly keySize: number;
  /** As system calls have it: of a per-CPU map, all slots. */
  readonly valueSize: number;
  readonly isPerCpu: boolean;
  /** What `add` adds to, where a value (of a per-CPU map, a slot) is made of integers. */
  readonly lanes: readonly Lane[] | undefined;
}

export function openAccess(kernel: Kernel, fd: number, shape: ElemShape): Access {
  const direct = kernel.direct?.(fd, shape.lanes === undefined ? {} : { lanes: shape.lanes });
  return direct === undefined ? openSyscalls(kernel, fd, shape) : openDirect(direct);
}

function openDirect(direct: DirectMap): Access {
  // Key and value lie in one buffer: a view from the key's start reaches both.
  const { bytes } = direct.key;
  const valueOff = direct.value.address - direct.key.address;
  return {
    view: new DataView(bytes.buffer, bytes.byteOffset, valueOff + direct.value.bytes.length),
    keyOff: 0,
    valueOff,
    lookup: direct.lookupElem,
    update: direct.updateElem,
    remove: direct.deleteElem,
    lookup4: direct.lookupElem4,
    update4: direct.updateElem4,
    remove4: direct.deleteElem4,
    add: direct.addElem,
    add4: direct.addElem4,
    count: direct.count,
    close: () => direct[Symbol.dispose](),
  };
}

function openSyscalls(kernel: Kernel, fd: number, { keySize, valueSize, isPerCpu, lanes }: ElemShape): Access {
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
  return {
    view,
    keyOff,
    valueOff,
    lookup,
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
    count: undefined,
    close: () => buffer[Symbol.dispose](),
  };
}

function addLane(to: DataView, at: number, delta: DataView, { offset, width }: Lane): void {
  if (width === 8) to.setBigUint64(at, to.getBigUint64(at, true) + delta.getBigUint64(offset, true), true);
  else if (width === 4) to.setUint32(at, to.getUint32(at, true) + delta.getUint32(offset, true), true);
  else if (width === 2) to.setUint16(at, to.getUint16(at, true) + delta.getUint16(offset, true), true);
  else to.setUint8(at, to.getUint8(at) + delta.getUint8(offset));
}

const closed = (): number => -EBADF;

/** What a closed map has: every operation is refused with EBADF, as a closed fd's are. */
export const closedAccess = (keySize: number, valueSize: number): Access => ({
  view: new DataView(new ArrayBuffer(align8(keySize) + valueSize)),
  keyOff: 0,
  valueOff: align8(keySize),
  lookup: closed,
  update: closed,
  remove: closed,
  lookup4: closed,
  update4: closed,
  remove4: closed,
  add: closed,
  add4: closed,
  count: undefined,
  close: () => {},
});
