/**
 * Values of tries, as programs have them.
 *
 * Differs from Linux: a program gets a copy, since the elems of a trie move when its nodes change (maps/lpm_trie.ts). What it has changed in
 * the copy is written back when it ends, word by word: what others have added to a word meanwhile is kept.
 *
 * Copies lie in memory of the Run where the program can reach values alone, and only those that it may write can be changed:
 *
 *      0  TrieCopy
 *     16  key    the prefix that matched
 *      .  value  the program's
 *      .  was    the value as it was
 */
import { BPF_EXIST } from "../../src/uapi/bpf";
import { BpfMap, mapAt } from "../map";
import { UPDATE_ELEM, callOp } from "../map_types";
import { LpmTrie } from "../maps/_lpm";
import { roundUp8 } from "../maps/_value";
import { lpmFindElem } from "../maps/lpm_trie";
import { Run, TrieCopy, myRun, scratchArea, takeTrieCopy } from "../run";

const KEY_OFF: usize = 16;
/** What a value may have: as much as fits, with a key, the scratch page that helpers have for themselves. */
const MAX_VALUE: u32 = 1536;
/** Of that page: keys, and the value as it is now. */
const KEY_AT: usize = 2048;

// @ts-ignore: decorator
@inline
function copyAt(at: usize): TrieCopy {
  return changetype<TrieCopy>(at);
}

/** A copy of the value that a key leads to, or 0. */
export function findInTrie(map: BpfMap, key: usize): usize {
  const run = myRun();
  if (map.valueSize > MAX_VALUE) return 0;
  const found = scratchArea(run) + KEY_AT;
  const value = scratchArea(run);
  if (lpmFindElem(changetype<LpmTrie>(map), key, found, value) != 0) return 0;
  let at = copyOf(run, map, found);
  if (at == 0) at = newCopy(run, map);
  if (at == 0) return 0;
  const copy = copyAt(at);
  const to: usize = copy.value;
  const was = to + roundUp8(map.valueSize);
  // What the program has changed is its own until it ends.
  if (copy.map != 0 && memory.compare(to, was, map.valueSize) != 0) return to;
  copy.map = <u32>changetype<usize>(map);
  memory.copy(at + KEY_OFF, found, map.keySize);
  memory.copy(to, value, map.valueSize);
  memory.copy(was, value, map.valueSize);
  return to;
}

function copyOf(run: Run, map: BpfMap, key: usize): usize {
  for (let at: usize = run.tries; at != 0; at = copyAt(at).next) {
    const isIt = copyAt(at).map == <u32>changetype<usize>(map);
    if (isIt && memory.compare(at + KEY_OFF, key, map.keySize) == 0) return at;
  }
  return 0;
}

/** Room for one more copy; where there is none, that of the map's last. */
function newCopy(run: Run, map: BpfMap): usize {
  const valueOff = KEY_OFF + roundUp8(map.keySize);
  let at = takeTrieCopy(<u32>valueOff + 2 * roundUp8(map.valueSize));
  if (at != 0) {
    copyAt(at).value = <u32>(at + valueOff);
    return at;
  }
  at = run.tries;
  while (at != 0 && copyAt(at).map != <u32>changetype<usize>(map)) at = copyAt(at).next;
  if (at != 0) {
    writeBack(run, at);
    copyAt(at).map = 0;
  }
  return at;
}

/** Writes what a program has changed in its copies. */
export function writeBackTries(run: Run): void {
  for (let at: usize = run.tries; at != 0; at = copyAt(at).next) {
    if (copyAt(at).map != 0) writeBack(run, at);
  }
  run.tries = 0;
  run.trieBytes = 0;
}

function writeBack(run: Run, at: usize): void {
  const map = mapAt(copyAt(at).map);
  const value: usize = copyAt(at).value;
  const was = value + roundUp8(map.valueSize);
  if (memory.compare(value, was, map.valueSize) == 0) return;
  const key = at + KEY_OFF;
  const found = scratchArea(run) + KEY_AT;
  const now = scratchArea(run);
  // An elem that is gone stays gone.
  if (lpmFindElem(changetype<LpmTrie>(map), key, found, now) != 0 || memory.compare(found, key, map.keySize) != 0) return;
  let i: u32 = 0;
  for (; i + 8 <= map.valueSize; i += 8) {
    store<u64>(now + i, load<u64>(now + i) + load<u64>(value + i) - load<u64>(was + i));
  }
  for (; i < map.valueSize; i++) store<u8>(now + i, load<u8>(now + i) + load<u8>(value + i) - load<u8>(was + i));
  callOp(map.type, UPDATE_ELEM, changetype<usize>(map), key, now, BPF_EXIST);
}
