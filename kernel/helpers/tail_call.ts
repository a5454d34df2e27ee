/**
 * bpf_tail_call.
 */
import { BPF_MAP_TYPE_PROG_ARRAY } from "../../src/uapi/bpf";
import { EINVAL, ENOENT } from "../../src/uapi/errno";
import { progAt, progElem } from "../prog";
import { BpfMap } from "../map";
import { beginTail, runTail } from "../prog_run";
import { Run, myRun } from "../run";
import { isNoMap, mapArg, refuse, result } from "./_arguments";

/** As Linux: MAX_TAIL_CALL_CNT. */
const MAX_TAIL_CALLS: u32 = 33;

/** Goes over to a program; the caller returns what that returned (run.tail, run.result). Where there is none, it goes on. */
export function tailCall(insn: u32, ctx: u64, r2: u64, r3: u64): u64 {
  const map = mapArg(insn, r2);
  if (isNoMap(map)) return 0;
  const run = myRun();
  if (map.type != BPF_MAP_TYPE_PROG_ARRAY || ctx != <u64>run.ctx) return refuse(insn, ctx);
  const prog = takeTail(run, map, <u32>r3);
  if (<u32>prog > <u32>-4096) return result(<i32>prog);
  run.result = runTail(run, prog, ctx);
  run.tail = 1;
  return 0;
}

/**
 * The same, of compiled code that has seen that these are a PROG_ARRAY of the program's and its context: where the program's main function
 * is in the table, for the caller to call it; a negative errno; or 0 if the program has been run (run.tail, run.result).
 */
export function tailTarget(map: usize, index: u32): i32 {
  const run = myRun();
  const prog = takeTail(run, changetype<BpfMap>(map), index);
  return <u32>prog > <u32>-4096 ? <i32>prog : <i32>beginTail(run, prog, run.ctx);
}

/** The program of an index, to go over to; or a negative errno. */
function takeTail(run: Run, map: BpfMap, index: u32): usize {
  if (index >= map.maxEntries || run.tails >= MAX_TAIL_CALLS) return -ENOENT;
  const prog = atomic.load<u32>(progElem(map, index));
  if (prog == 0) return -ENOENT;
  if (progAt(prog).type != progAt(run.prog).type) return -EINVAL;
  run.tails++;
  return prog;
}
