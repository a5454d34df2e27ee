/**
 * What Linux leaves open, made the same on every kernel: ids, a hash table's order, and where its batches end.
 *
 * Each answer is checked first to be one that is possible: one that is not becomes WRONG, which no kernel returns.
 */
import {
  BPF_BTF_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET_INFO_BY_FD,
  EFAULT,
  ENOENT,
  ENOSPC,
  bpfAttr,
  bpfBtfInfo,
  bpfMapInfo,
} from "tsbpf/uapi";
import { type Arena, END } from "./arena.js";
import { type MapFacts, type Probe, isHash, isMapInMap, valueBytes } from "./probe.js";

/** In place of a return that depends on a hash table's order, or on other processes' maps. */
export const OPEN = 1_000_000;
/** In place of a return that no order explains. */
export const WRONG = 1_000_001;

/** No machine has had so many maps. */
const MAX_ID = 2 ** 30;

/** Whom to ask what an answer means. */
export interface AskedOf {
  readonly arena: Arena;
  readonly probe: Probe;
  readonly kernel: { readonly possibleCpus: number };
  mapOfFd(fd: number): MapFacts | undefined;
  btfOfFd(fd: number): number | undefined;
  openBtfIds(): number[];
  openIds(): number[];
  ordinalOf(id: number): number | undefined;
  /** The values that were added to the bloom filter of this id, in hex. */
  addedTo(id: number): Set<string>;
}

/** attr as it was given, zeroes behind its end. */
class GivenAttr {
  readonly at: number;
  readonly #bytes: Uint8Array = new Uint8Array(64);
  readonly #view: DataView = new DataView(this.#bytes.buffer);

  constructor({ before }: Arena, at: number, size: number) {
    this.at = at;
    this.#bytes.set(before.subarray(at, at + Math.min(size, 64)));
  }

  u32({ off }: { off: number }): number {
    return this.#view.getUint32(off, true);
  }

  pointer({ off }: { off: number }): bigint {
    return this.#view.getBigUint64(off, true);
  }
}

/** The return of a command as every kernel gives it; its writes in the arena are made so, too. */
export function canonicalReturn(asked: AskedOf, cmd: number, at: number, size: number, ret: number): number {
  const attr = new GivenAttr(asked.arena, at, size);
  switch (cmd) {
    case BPF_MAP_GET_NEXT_KEY:
      return nextKey(asked, attr, ret);
    case BPF_MAP_LOOKUP_BATCH:
      return lookupBatch(asked, attr, innerIdsOfBatch(asked, attr, ret), false);
    case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
      return lookupBatch(asked, attr, innerIdsOfBatch(asked, attr, ret), true);
    case BPF_MAP_LOOKUP_ELEM:
      return innerId(asked, attr, maybePresent(asked, attr, ret));
    case BPF_MAP_UPDATE_ELEM:
      noteAdded(asked, attr, ret);
      return ret;
    case BPF_OBJ_GET_INFO_BY_FD:
      return info(asked, attr, ret);
    case BPF_MAP_GET_NEXT_ID:
      return nextId(asked, attr, ret, asked.openIds());
    case BPF_BTF_GET_NEXT_ID:
      return nextId(asked, attr, ret, asked.openBtfIds());
    default:
      return ret;
  }
}

/** Where `length` readable bytes begin, or -1. */
function readable({ arena }: AskedOf, pointer: bigint, length: number): number {
  const offset = arena.offsetOf(pointer);
  return offset + length <= END ? offset : -1;
}

/** A key that is there is followed by any other, or by none. */
function nextKey(asked: AskedOf, attr: GivenAttr, ret: number): number {
  const { arena, probe } = asked;
  const fields = bpfAttr.mapElem;
  const fd = attr.u32(fields.map_fd);
  const map = asked.mapOfFd(fd);
  if (map === undefined || !isHash(map) || (ret !== 0 && ret !== -ENOENT && ret !== -EFAULT)) return ret;
  const { keySize } = map;
  const keyAt = readable(asked, attr.pointer(fields.key), keySize);
  const hasKey = attr.pointer(fields.key) !== 0n;
  if (hasKey && keyAt < 0) return ret;
  const key = hasKey ? arena.before.slice(keyAt, keyAt + keySize) : undefined;
  const isThere = key !== undefined && probe.lookup(fd, key) === 0;
  if (ret !== 0) return isThere ? OPEN : ret;
  const nextAt = readable(asked, attr.pointer(fields.next_key), keySize);
  if (nextAt < 0) return WRONG;
  const next = arena.bytes.slice(nextAt, nextAt + keySize);
  if (probe.lookup(fd, next) !== 0 || (isThere && Buffer.compare(next, key) === 0)) return WRONG;
  arena.bytes.set(arena.before.subarray(nextAt, nextAt + keySize), nextAt);
  return isThere ? OPEN : ret;
}

/** A bloom filter that is not empty may say of any value that it is there; of one that was added it must. */
function maybePresent(asked: AskedOf, attr: GivenAttr, ret: number): number {
  const map = asked.mapOfFd(attr.u32(bpfAttr.mapElem.map_fd));
  if (map?.type !== BPF_MAP_TYPE_BLOOM_FILTER || (ret !== 0 && ret !== -ENOENT)) return ret;
  const value = givenValue(asked, attr, map);
  const added = asked.addedTo(map.id);
  if (value === undefined || (added.size === 0 && ret === 0)) return WRONG;
  if (added.has(value)) return ret === 0 ? 0 : WRONG;
  return added.size === 0 ? ret : OPEN;
}

function noteAdded(asked: AskedOf, attr: GivenAttr, ret: number): void {
  const map = asked.mapOfFd(attr.u32(bpfAttr.mapElem.map_fd));
  if (ret !== 0 || map?.type !== BPF_MAP_TYPE_BLOOM_FILTER) return;
  const value = givenValue(asked, attr, map);
  if (value !== undefined) asked.addedTo(map.id).add(value);
}

function givenValue(asked: AskedOf, attr: GivenAttr, { valueSize }: MapFacts): string | undefined {
  const at = readable(asked, attr.pointer(bpfAttr.mapElem.value), valueSize);
  return at < 0 ? undefined : Buffer.from(asked.arena.before.subarray(at, at + valueSize)).toString("hex");
}

/** Puts an inner map's ordinal in the place of its id. */
function innerId(asked: AskedOf, attr: GivenAttr, ret: number): number {
  const map = asked.mapOfFd(attr.u32(bpfAttr.mapElem.map_fd));
  if (ret !== 0 || map === undefined || !isMapInMap(map)) return ret;
  return putOrdinals(asked, readable(asked, attr.pointer(bpfAttr.mapElem.value), 4), 1) ? ret : WRONG;
}

function innerIdsOfBatch(asked: AskedOf, attr: GivenAttr, ret: number): number {
  const { map_fd, values, count } = bpfAttr.batch;
  const map = asked.mapOfFd(attr.u32(map_fd));
  if ((ret !== 0 && ret !== -ENOENT) || map === undefined || !isMapInMap(map)) return ret;
  const done = viewOf(asked).getUint32(attr.at + count.off, true);
  if (done === 0 || attr.u32(count) === 0) return ret;
  return putOrdinals(asked, readable(asked, attr.pointer(values), 4 * done), done) ? ret : WRONG;
}

/** Puts maps' ordinals in the place of their ids; false where an id is no map's. */
function putOrdinals(asked: AskedOf, at: number, n: number): boolean {
  if (at < 0) return false;
  const view = viewOf(asked);
  for (let i = 0; i < n; i++) {
    const ordinal = asked.ordinalOf(view.getUint32(at + 4 * i, true));
    if (ordinal === undefined) return false;
    view.setUint32(at + 4 * i, ordinal, true);
  }
  return true;
}

function viewOf({ arena }: AskedOf): DataView {
  return new DataView(arena.bytes.buffer, arena.bytes.byteOffset);
}

/** A batch from the start that has room for all is a set; what another one holds is open. `deletes`: and is gone. */
function lookupBatch(asked: AskedOf, attr: GivenAttr, ret: number, deletes: boolean): number {
  const { arena, probe } = asked;
  const fields = bpfAttr.batch;
  const fd = attr.u32(fields.map_fd);
  const map = asked.mapOfFd(fd);
  const room = attr.u32(fields.count);
  const answers = [0, -ENOENT, -ENOSPC, -EFAULT];
  if (map === undefined || !isHash(map) || room === 0 || !answers.includes(ret)) return ret;
  const inBatch = attr.pointer(fields.in_batch);
  const cursorAt = readable(asked, inBatch, 4);
  if (inBatch !== 0n && cursorAt < 0) return ret;
  const isBeyondAll = inBatch !== 0n && arena.before[cursorAt + 3]! >= 0x80;
  const done = new DataView(arena.bytes.buffer, arena.bytes.byteOffset).getUint32(attr.at + fields.count.off, true);
  const total = probe.walk(fd, map).elems.length + (deletes && ret !== -EFAULT ? done : 0);
  const isWhole = inBatch === 0n && room >= total;
  if (isBeyondAll || (isWhole && ret === -EFAULT)) return ret;

  const valueSize = valueBytes(map, asked.kernel.possibleCpus);
  const keysAt = readable(asked, attr.pointer(fields.keys), done * map.keySize);
  const valuesAt = readable(asked, attr.pointer(fields.values), done * valueSize);
  if (ret !== -EFAULT && done > 0 && (keysAt < 0 || valuesAt < 0 || done > room || done > total)) return WRONG;
  if (!isWhole) {
    arena.forget(0);
    return OPEN;
  }
  const elems: [key: Buffer, value: Buffer][] = [];
  for (let i = 0; i < done; i++) {
    const copy = (at: number, length: number): Buffer => Buffer.from(arena.bytes.slice(at, at + length));
    elems.push([copy(keysAt + i * map.keySize, map.keySize), copy(valuesAt + i * valueSize, valueSize)]);
  }
  elems.sort(([a], [b]) => Buffer.compare(a, b));
  for (const [i, [key, value]] of elems.entries()) {
    arena.bytes.set(key, keysAt + i * map.keySize);
    arena.bytes.set(value, valuesAt + i * valueSize);
  }
  const cursorOut = readable(asked, attr.pointer(fields.out_batch), 4);
  if (cursorOut >= 0) arena.bytes.fill(0, cursorOut, cursorOut + 4);
  return ret;
}

/** Puts a zero in the place of an id. */
function takeOut({ view }: Arena, at: number, id: number): void {
  if (view.getUint32(at, true) === id) view.setUint32(at, 0, true);
}

/** Puts a map's ordinal in the place of its id. */
function info(asked: AskedOf, attr: GivenAttr, ret: number): number {
  const { arena } = asked;
  const at = arena.offsetOf(attr.pointer(bpfAttr.info.info));
  if (ret !== 0 || at < 0) return ret;
  const btf = asked.btfOfFd(attr.u32(bpfAttr.info.bpf_fd));
  if (btf !== undefined) {
    takeOut(arena, at + bpfBtfInfo.id.off, btf);
    return ret;
  }
  const map = asked.mapOfFd(attr.u32(bpfAttr.info.bpf_fd));
  if (map?.btfId !== undefined && map.btfId !== 0) takeOut(arena, at + bpfMapInfo.btf_id.off, map.btfId);
  const ordinal = map === undefined ? undefined : asked.ordinalOf(map.id);
  const length = Math.min(attr.u32(bpfAttr.info.info_len), BPF_MAP_INFO_SIZE);
  for (let i = 0; i < 4; i++) {
    const place = bpfMapInfo.id.off + i;
    if (place >= length) break;
    if (ordinal === undefined || arena.bytes[at + place] !== ((map!.id >>> (8 * i)) & 0xff)) return WRONG;
    arena.bytes[at + place] = (ordinal >>> (8 * i)) & 0xff;
  }
  return ret;
}

/** Other processes' maps have ids, too: the next one is one of theirs, or the next one of ours. */
function nextId(asked: AskedOf, attr: GivenAttr, ret: number, ids: readonly number[]): number {
  const { arena } = asked;
  const { start_id, next_id } = bpfAttr.getId;
  const start = attr.u32(start_id);
  if ((ret !== 0 && ret !== -ENOENT) || start > MAX_ID) return ret;
  const ours = Math.min(...ids.filter((id) => id > start));
  const found = new DataView(arena.bytes.buffer, arena.bytes.byteOffset).getUint32(attr.at + next_id.off, true);
  if (ret === 0 && (found <= start || found > ours)) return WRONG;
  if (ret !== 0 && ours !== Infinity) return WRONG;
  arena.forget(0);
  return ours === Infinity ? OPEN : ret;
}
