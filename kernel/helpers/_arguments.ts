/**
 * Arguments of helpers, as they must be: what is not ends the program.
 */
import { BpfMap, mapAt } from "../map";
import { FAULT_HELPER, PROVEN_MAP, PROVEN_MEMORY, fault, isProgMap, progAccess } from "../run";

/** The map that an argument is; the null map, and a fault, for what is none of the program's. */
export function mapArg(insn: u32, map: u64): BpfMap {
  if ((insn & PROVEN_MAP) != 0 || isProgMap(map)) return mapAt(<usize>map);
  fault(FAULT_HELPER, insn, map);
  return mapAt(0);
}

// @ts-ignore: decorator
@inline
export function isNoMap(map: BpfMap): bool {
  return changetype<usize>(map) == 0;
}

/** Whether so many bytes may be read. No bytes always. */
export function mayRead(insn: u32, at: u64, bytes: u64): bool {
  return may(insn, at, bytes, false);
}

export function mayWrite(insn: u32, at: u64, bytes: u64): bool {
  return may(insn, at, bytes, true);
}

function may(insn: u32, at: u64, bytes: u64, write: bool): bool {
  if (bytes == 0 || (insn & PROVEN_MEMORY) != 0) return true;
  if (bytes <= <u64>i32.MAX_VALUE) return progAccess(at, <u32>bytes, write, insn);
  fault(FAULT_HELPER, insn, bytes);
  return false;
}

/** A negative errno, as helpers return it. */
// @ts-ignore: decorator
@inline
export function result(ret: i32): u64 {
  return <u64>(<i64>ret);
}

export function refuse(insn: u32, argument: u64): u64 {
  fault(FAULT_HELPER, insn, argument);
  return 0;
}
