/**
 * bpf_spin_lock and bpf_spin_unlock: of an elem of a hash or an array whose values have one.
 *
 * What is held is the elem's stripe, with its seq odd (maps/_stripe.ts): so it excludes other programs that lock the elem, and system calls,
 * with and without BPF_F_LOCK. A thread that dies with it is reaped as any that holds a stripe. Meanwhile a program may call no other
 * helper.
 */
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH } from "../../src/uapi/bpf";
import { hasSpinLock } from "../_btf_fields";
import { unlock } from "../lock";
import { BpfMap, mapAt } from "../map";
import { ArrayMap, arrayHolds } from "../maps/_array";
import { Htab, htabHolds, stripeOfValue } from "../maps/_htab";
import { beginWrite, endWrite, lockStripe, stripeOf } from "../maps/_stripe";
import { progAt, usedMap } from "../prog";
import { Run, myRun, reachedAt } from "../run";
import { refuse } from "./_arguments";

const LOCK_BYTES: u32 = 4;

/** The stripe of the elem whose value these bytes are in, or 0; of this map. */
function stripeIn(map: BpfMap, at: usize): usize {
  if (!hasSpinLock(map)) return 0;
  if (map.type == BPF_MAP_TYPE_ARRAY) {
    const array = changetype<ArrayMap>(map);
    return arrayHolds(array, at, LOCK_BYTES) ? stripeOf(map, <u32>(at - <usize>array.values) / array.slotSize) : 0;
  }
  if (map.type != BPF_MAP_TYPE_HASH) return 0;
  const htab = changetype<Htab>(map);
  return htabHolds(htab, at, LOCK_BYTES) ? stripeOfValue(htab, at) : 0;
}

export function spinLock(insn: u32, lock: u64): u64 {
  const run = myRun();
  if (run.locked != 0 || lock >> 32 != 0) return refuse(insn, lock);
  const prog = progAt(run.prog);
  let stripe: usize = 0;
  let map: u32 = 0;
  for (let i: u32 = 0; i < prog.mapCount && stripe == 0; i++) {
    map = usedMap(prog, i);
    stripe = stripeIn(mapAt(map), <usize>lock);
  }
  for (let i: u32 = 0; i < run.reached && stripe == 0; i++) {
    map = reachedAt(run, i);
    stripe = stripeIn(mapAt(map), <usize>lock);
  }
  if (stripe == 0) return refuse(insn, lock);
  lockStripe(mapAt(map), stripe);
  beginWrite(stripe);
  run.lockedAt = <u32>lock;
  run.locked = <u32>stripe;
  return 0;
}

export function spinUnlock(insn: u32, lock: u64): u64 {
  const run = myRun();
  if (run.locked == 0 || <u64>run.lockedAt != lock) return refuse(insn, lock);
  releaseLock(run);
  return 0;
}

/** Lets go of the lock that a program holds. */
export function releaseLock(run: Run): void {
  const stripe: usize = run.locked;
  run.locked = 0;
  endWrite(stripe);
  unlock(stripe);
}
