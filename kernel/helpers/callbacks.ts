/**
 * Helpers that call functions of the program.
 */
import { E2BIG, EINVAL } from "../../src/uapi/errno";
import { funcSlot, interpret } from "../interpreter";
import { FAULT_BUDGET, FAULT_CALL, fault, myRun } from "../run";
import { FRAME_BYTES } from "../super";
import { result } from "./_arguments";

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
