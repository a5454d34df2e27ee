/**
 * What the compiler (src/kernels/embedded/compiler) asks of programs and maps, and what compiled code calls.
 */
import { ArrayMap, arrayFind } from "./maps/_array";
import { Htab, KEYS_OFF, cellsWith, hashOf, lineAt, lineOf, tagOf } from "./maps/_htab";
import { find, htabFindElem } from "./maps/_htab_ops";
import { mapAt } from "./map";
import { progAt, progElem, usedMap } from "./prog";
import { loadSeq } from "./maps/_stripe";
import { keepOrder } from "./order";
import { me } from "./task";

export { nextElem } from "./helpers/callbacks";
export { findElem } from "./helpers/maps";
export { callHelper as progHelper } from "./helpers";
export { tailTarget } from "./helpers/tail_call";
export { endScratch, fault as progFault, progAccess, runArea, setBudget, takeScratch } from "./run";

export function progInsns(prog: usize): u32 {
  return progAt(prog).insns;
}

export function progSlots(prog: usize): u32 {
  return progAt(prog).slots;
}

export function progType(prog: usize): u32 {
  return progAt(prog).type;
}

/** Also of one that has ended while it is running. */
export function progId(prog: usize): u32 {
  return progAt(prog).number;
}

export function progMapCount(prog: usize): u32 {
  return progAt(prog).mapCount;
}

export function progMap(prog: usize, n: u32): u32 {
  return usedMap(progAt(prog), n);
}

/** Of a PROG_ARRAY: where its elems are, 8 bytes each. */
export function progElems(map: usize): u32 {
  return <u32>progElem(mapAt(map), 0);
}

export function maxEntriesOf(map: usize): u32 {
  return mapAt(map).maxEntries;
}

/** Of one CPU's, where values are per CPU. */
export function valueSizeOf(map: usize): u32 {
  return mapAt(map).valueSize;
}

export function mapFlagsOf(map: usize): u32 {
  return mapAt(map).mapFlags;
}

export function arrayValues(map: usize): u32 {
  return changetype<ArrayMap>(map).values;
}

export function arraySlotSize(map: usize): u32 {
  return changetype<ArrayMap>(map).slotSize;
}

/** Keys of a word: most are in the line that their hash leads to. */
// @ts-ignore: decorator
@inline
function findWord<K>(map: Htab, key: K): usize {
  if (map.slotted == 0) {
    const hash = hashOf<K>(map, key);
    const line = lineAt(map, lineOf(map, hash));
    const seq = loadSeq(line);
    const found = cellsWith(line, tagOf(hash));
    keepOrder();
    const i = <usize>ctz<u32>(found);
    if (found != 0 && load<K>(line + i * map.keyStride, KEYS_OFF) == key) {
      keepOrder();
      if (loadSeq(line) == seq) return line + map.valuesOff + i * map.valueStride;
    }
  }
  return findLong<K>(map, key);
}

function findLong<K>(map: Htab, key: K): usize {
  return find<K>(map, key, me().cpu - 1);
}

export function findHash4(map: usize, key: u32): usize {
  return findWord<u32>(changetype<Htab>(map), key);
}

export function findHash8(map: usize, key: u64): usize {
  return findWord<u64>(changetype<Htab>(map), key);
}

/** Of hashes of any kind, with keys of any size. */
export function findHash(map: usize, key: usize): usize {
  return htabFindElem(changetype<Htab>(map), key, me().cpu - 1);
}

/** Of a PERCPU_ARRAY: this CPU's value. */
export function findPerCpu(map: usize, index: u32): usize {
  return arrayFind(changetype<ArrayMap>(map), index, me().cpu - 1);
}
