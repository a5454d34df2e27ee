/**
 * bpf_tail_call.
 */
import { BPF_MAP_TYPE_PROG_ARRAY } from "../../src/uapi/bpf";
import { EINVAL, ENOENT } from "../../src/uapi/errno";
import { progAt, progElem } from "../prog";
import { runTail } from "../prog_run";
import { myRun } from "../run";
import { isNoMap, mapArg, refuse, result } from "./_arguments";

/** As Linux: MAX_TAIL_CALL_CNT. */
const MAX_TAIL_CALLS: u32 = 33;

/** Goes over to a program; the caller returns what that returned (run.tail, run.result). Where there is none, it goes on. */
export function tailCall(insn: u32, ctx: u64, r2: u64, r3: u64): u64 {
  const map = mapArg(insn, r2);
  if (isNoMap(map)) return 0;
  const run = myRun();
  if (map.type != BPF_MAP_TYPE_PROG_ARRAY || ctx != <u64>run.ctx) return refuse(insn, ctx);
  const index = <u32>r3;
  if (index >= map.maxEntries || run.tails >= MAX_TAIL_CALLS) return result(-ENOENT);
  const prog = atomic.load<u32>(progElem(map, index));
  if (prog == 0) return result(-ENOENT);
  if (progAt(prog).type != progAt(run.prog).type) return result(-EINVAL);
  run.tails++;
  run.result = runTail(run, prog, ctx);
  run.tail = 1;
  return 0;
}
