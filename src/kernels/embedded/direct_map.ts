/**
 * The embedded kernel's short way: one map's operations as calls of the engine's own functions, arguments bound.
 */
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from "../../uapi/bpf.js";
import { EINVAL } from "../../uapi/errno.js";
import type { DirectMap, DirectOptions, UserBuffer } from "../kernel.js";
import type { Engine } from "./engine.js";

const align8 = (size: number): number => (size + 7) & ~7;

/**
 * Opens the short way into a held map; the reference is given back on dispose.
 *
 * @param alloc Gives the user memory that keys and values travel in.
 * @param put Gives the reference back.
 */
export function openDirect(
  engine: Engine,
  map: number,
  alloc: (size: number) => UserBuffer,
  put: () => void,
  options: DirectOptions = {},
): DirectMap {
  const keyBytes = engine.keyBytesOf(map);
  const valueBytes = engine.valueBytesOf(map);
  const lanes = options.lanes ?? [];
  const valueOff = align8(keyBytes);
  const lanesOff = valueOff + align8(valueBytes);
  const buffer = alloc(lanesOff + 4 + 4 * lanes.length);
  const key = buffer.address;
  const value = key + valueOff;
  const lanesAt = key + lanesOff;
  writeLanes(buffer, lanesOff, lanes);
  if (engine.lanesFitMap(map, lanesAt) === 0) {
    buffer[Symbol.dispose]();
    throw new RangeError(`Lanes must lie aligned in the map's value of ${valueBytes} bytes`);
  }
  const family = waysOf(engine, map, key, value, lanesAt, buffer);
  let open = true;

  return {
    key: part(buffer, 0, keyBytes),
    value: part(buffer, valueOff, valueBytes),
    deleteElem: () => engine.deleteElem(map, key),
    addElem: () => engine.addElem(map, key, value, lanesAt),
    ...family,
    lookupMany: (keys, values, rets, n) => engine.lookupMany(map, keys, values, rets, n),
    updateMany: (keys, values, rets, n, flags) => engine.updateMany(map, keys, values, rets, n, flags),
    deleteMany: (keys, rets, n) => engine.deleteMany(map, keys, rets, n),
    count: () => engine.count(map),
    setExact: () => engine.setExact(map),
    [Symbol.dispose]: () => {
      if (!open) return;
      open = false;
      buffer[Symbol.dispose]();
      put();
    },
  };
}

type Family = Pick<DirectMap, "lookupElem" | "updateElem" | "lookupElem4" | "updateElem4" | "deleteElem4" | "addElem4">;

function waysOf(engine: Engine, map: number, key: number, value: number, lanes: number, buffer: UserBuffer): Family {
  switch (engine.typeOf(map)) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
      return hashWays(engine, map, key, value, lanes);
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
      return { ...hashWays(engine, map, key, value, lanes), ...lruLookups(engine, map, key, value) };
    case BPF_MAP_TYPE_LPM_TRIE:
      return trieWays(engine, map, key, value);
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return arrayWays(engine, map, key, value, lanes);
    default:
      return otherWays(engine, map, key, value, lanes, buffer);
  }
}

// A call site that meets functions of one family only is inlined: hence one for each (2 ns an operation, measured).

function hashWays(engine: Engine, map: number, keyAt: number, value: number, lanes: number): Family {
  const { hashLookup, hashUpdate, hashDelete4, hashAdd4 } = engine;
  return {
    lookupElem: () => hashLookup(map, keyAt, value),
    updateElem: (flags) => hashUpdate(map, keyAt, value, flags),
    ...by4(engine, map, value),
    deleteElem4: (key) => hashDelete4(map, key),
    addElem4: (key) => hashAdd4(map, key, value, lanes),
  };
}

type By4 = Pick<DirectMap, "lookupElem4" | "updateElem4">;

function by4(engine: Engine, map: number, value: number): By4 {
  const { hashLookup4, hashLookup44, hashLookup48, hashUpdate4, hashUpdate44, hashUpdate48 } = engine;
  const word = engine.hashWord(map);
  if (word === 4) {
    return {
      lookupElem4: (key) => hashLookup44(map, key, value),
      updateElem4: (key, flags) => hashUpdate44(map, key, value, flags),
    };
  }
  if (word === 8) {
    return {
      lookupElem4: (key) => hashLookup48(map, key, value),
      updateElem4: (key, flags) => hashUpdate48(map, key, value, flags),
    };
  }
  return {
    lookupElem4: (key) => hashLookup4(map, key, value),
    updateElem4: (key, flags) => hashUpdate4(map, key, value, flags),
  };
}

function lruLookups(
  engine: Engine,
  map: number,
  keyAt: number,
  value: number,
): Pick<DirectMap, "lookupElem" | "lookupElem4"> {
  const { lruLookup, lruLookup4, lruLookup44, lruLookup48 } = engine;
  const lookupElem = (): number => lruLookup(map, keyAt, value);
  const word = engine.hashWord(map);
  if (word === 4) return { lookupElem, lookupElem4: (key) => lruLookup44(map, key, value) };
  if (word === 8) return { lookupElem, lookupElem4: (key) => lruLookup48(map, key, value) };
  return { lookupElem, lookupElem4: (key) => lruLookup4(map, key, value) };
}

function arrayWays(engine: Engine, map: number, keyAt: number, value: number, lanes: number): Family {
  const { lookupElem, updateElem, arrayLookup4, arrayUpdate4, arrayAdd4 } = engine;
  return {
    lookupElem: () => lookupElem(map, keyAt, value),
    updateElem: (flags) => updateElem(map, keyAt, value, flags),
    lookupElem4: (index) => arrayLookup4(map, index, value),
    updateElem4: (index, flags) => arrayUpdate4(map, index, value, flags),
    deleteElem4: () => -EINVAL,
    addElem4: (index) => arrayAdd4(map, index, value, lanes),
  };
}

/** Of all other types: through the registry, the key in its place. */
function otherWays(
  engine: Engine,
  map: number,
  keyAt: number,
  value: number,
  lanes: number,
  buffer: UserBuffer,
): Family {
  const { lookupElem, updateElem, deleteElem, addElem } = engine;
  const view = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset, buffer.bytes.byteLength);
  const put = (key: number): void => view.setUint32(0, key, true);
  return {
    lookupElem: () => lookupElem(map, keyAt, value),
    updateElem: (flags) => updateElem(map, keyAt, value, flags),
    lookupElem4: (key) => {
      put(key);
      return lookupElem(map, keyAt, value);
    },
    updateElem4: (key, flags) => {
      put(key);
      return updateElem(map, keyAt, value, flags);
    },
    deleteElem4: (key) => {
      put(key);
      return deleteElem(map, keyAt);
    },
    addElem4: (key) => {
      put(key);
      return addElem(map, keyAt, value, lanes);
    },
  };
}

/** No key of a trie is four bytes. */
function trieWays(engine: Engine, map: number, key: number, value: number): Family {
  const { trieLookup, updateElem } = engine;
  return {
    lookupElem: () => trieLookup(map, key, value),
    updateElem: (flags) => updateElem(map, key, value, flags),
    lookupElem4: () => -EINVAL,
    updateElem4: () => -EINVAL,
    deleteElem4: () => -EINVAL,
    addElem4: () => -EINVAL,
  };
}

/** As kernel/maps/_value.ts reads them: how many, then each one's offset << 8 | width. */
function writeLanes(buffer: UserBuffer, at: number, lanes: NonNullable<DirectOptions["lanes"]>): void {
  const view = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset, buffer.bytes.byteLength);
  view.setUint32(at, lanes.length, true);
  lanes.forEach((lane, i) => view.setUint32(at + 4 + 4 * i, (lane.offset << 8) | lane.width, true));
}

function part(buffer: UserBuffer, offset: number, size: number): UserBuffer {
  return {
    address: buffer.address + offset,
    bytes: buffer.bytes.subarray(offset, offset + size),
    [Symbol.dispose]: () => {},
  };
}
