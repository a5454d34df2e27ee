/**
 * Helpers that call functions of the program.
 */
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY } from "../../src/uapi/bpf";
import { E2BIG, EINVAL } from "../../src/uapi/errno";
import { funcSlot, interpret } from "../interpreter";
import { BpfMap } from "../map";
import { isHash } from "../map_types";
import { ArrayMap, arrayFind } from "../maps/_array";
import { Htab, fullCells, homeLine, keyAt, lineAt, linesInAll } from "../maps/_htab";
import { cellValue } from "../maps/_htab_ops";
import { copy } from "../maps/_value";
import { FAULT_BUDGET, FAULT_CALL, endScratch, fault, myRun, takeScratch } from "../run";
import { FRAME_BYTES } from "../super";
import { me } from "../task";
import { isNoMap, mapArg, refuse, result } from "./_arguments";

/** As Linux: iterations of bpf_loop. */
const MAX_LOOPS: u32 = 1 << 23;

/** Calls a function of the program's by its pointer, in the frame below that of who called the helper. */
export function callFunc(insn: u32, pointer: u64, r1: u64, r2: u64, r3: u64, r4: u64): u64 {
  const run = myRun();
  const frame = run.frame;
  let ret: u64 = 0;
  if (--run.budget < 0) {
    fault(FAULT_BUDGET, insn, 0);
  } else if (run.compiled != 0) {
    // Where it has called, if the pointer is wrong.
    run.faultInsn = insn;
    ret = call_indirect<u64>(run.compiled + 1, <u32>pointer, r1, r2, r3, r4, <u64>0, frame - FRAME_BYTES);
  } else {
    const slot = funcSlot(pointer);
    if (slot == u32.MAX_VALUE) fault(FAULT_CALL, insn, pointer);
    else ret = interpret(slot, r1, r2, r3, r4, 0, frame - FRAME_BYTES);
  }
  run.frame = frame;
  return ret;
}

/** bpf_for_each_map_elem: how many elems were seen. A callback that returns 1 has the last. */
export function forEachElem(insn: u32, r1: u64, pointer: u64, ctx: u64, flags: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map)) return 0;
  const isArray = map.type == BPF_MAP_TYPE_ARRAY || map.type == BPF_MAP_TYPE_PERCPU_ARRAY;
  if (!isArray && !isHash(map.type)) return refuse(insn, r1);
  if (flags != 0) return result(-EINVAL);
  const key = takeScratch(map.keySize);
  if (key == 0) return refuse(insn, r1);
  const seen = isArray
    ? forEachIndex(insn, map, key, pointer, ctx)
    : forEachCell(insn, map, key, pointer, ctx);
  endScratch(key);
  return seen;
}

function forEachIndex(insn: u32, map: BpfMap, key: usize, pointer: u64, ctx: u64): u64 {
  for (let i: u32 = 0; i < map.maxEntries; i++) {
    store<u32>(key, i);
    const value = arrayFind(changetype<ArrayMap>(map), i, me().cpu - 1);
    const ret = callFunc(insn, pointer, changetype<usize>(map), key, value, ctx);
    if (myRun().fault != 0) return 0;
    if (ret != 0) return i + 1;
  }
  return map.maxEntries;
}

/** Cells of a line, at the most, in a cursor. */
const CELLS_SHIFT: u32 = 4;

/**
 * The first elem of a hash from a cursor on, 0 at first: its key is copied, and the value's address comes with the next cursor above it; 0
 * when there are no more. Elems that come and go meanwhile may be seen or not.
 */
export function nextElem(at: usize, cursor: u32, key: usize): u64 {
  const map = changetype<Htab>(at);
  const lines = linesInAll(map);
  // Of the first line the cells that are left.
  let mask = u32.MAX_VALUE << (cursor & ((1 << CELLS_SHIFT) - 1));
  for (let n = cursor >> CELLS_SHIFT; n < lines; n++) {
    if (homeLine(map, n) != 0) {
      const line = lineAt(map, n);
      const cells = fullCells(map, line) & mask;
      if (cells != 0) {
        const i = <u32>ctz<u32>(cells);
        copy(key, keyAt(map, line, i), map.keySize);
        const value = cellValue(map, line, i, me().cpu - 1);
        return ((<u64>((n << CELLS_SHIFT) | (i + 1))) << 32) | value;
      }
    }
    mask = u32.MAX_VALUE;
  }
  return 0;
}

function forEachCell(insn: u32, map: BpfMap, key: usize, pointer: u64, ctx: u64): u64 {
  const at = changetype<usize>(map);
  let seen: u32 = 0;
  for (let next = nextElem(at, 0, key); next != 0; next = nextElem(at, <u32>(next >> 32), key)) {
    const ret = callFunc(insn, pointer, at, key, <u32>next, ctx);
    seen++;
    if (myRun().fault != 0) return 0;
    if (ret != 0) return seen;
  }
  return seen;
}

/** bpf_loop: how often it has called back; a callback that returns 1 is the last. */
export function callLoop(insn: u32, n: u64, pointer: u64, ctx: u64, flags: u64): u64 {
  if (flags != 0) return result(-EINVAL);
  const count = <u32>n;
  if (count > MAX_LOOPS) return result(-E2BIG);
  const run = myRun();
  for (let i: u32 = 0; i < count; i++) {
    const ret = callFunc(insn, pointer, i, ctx, 0, 0);
    if (run.fault != 0) return 0;
    if (ret != 0) return i + 1;
  }
  return count;
}
