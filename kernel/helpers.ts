/**
 * Helpers: what programs may call, by number. Behaves as the protos of kernel/bpf/helpers.c, net/core/filter.c and
 * kernel/trace/bpf_trace.c.
 *
 * A helper looks at its own arguments: pointers must be the program's (progAccess), maps ones that it uses (mapArg). What is wrong ends the
 * program, since there is no verifier that would have refused it.
 *
 * To add one: write it in helpers/, and add its row to both switches below.
 */
import {
  BPF_FUNC_get_current_comm,
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_get_current_uid_gid,
  BPF_FUNC_get_prandom_u32,
  BPF_FUNC_get_smp_processor_id,
  BPF_FUNC_ktime_get_boot_ns,
  BPF_FUNC_ktime_get_coarse_ns,
  BPF_FUNC_ktime_get_ns,
  BPF_FUNC_ktime_get_tai_ns,
  BPF_FUNC_loop,
  BPF_FUNC_map_delete_elem,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_lookup_percpu_elem,
  BPF_FUNC_map_peek_elem,
  BPF_FUNC_map_pop_elem,
  BPF_FUNC_map_push_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_probe_read,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_user,
  BPF_FUNC_ringbuf_discard,
  BPF_FUNC_ringbuf_output,
  BPF_FUNC_ringbuf_query,
  BPF_FUNC_ringbuf_reserve,
  BPF_FUNC_ringbuf_submit,
  BPF_FUNC_tail_call,
} from "../src/uapi/bpf";
import { callLoop } from "./helpers/callbacks";
import { mapDelete, mapLookup, mapLookupPerCpu, mapPeek, mapPop, mapPush, mapUpdate } from "./helpers/maps";
import { currentComm, currentPidTgid, probeRead, prandom } from "./helpers/misc";
import { output, query, reserve, release, releaseRecords } from "./helpers/rings";
import { tailCall } from "./helpers/tail_call";
import { bootNs, realNs } from "./clock";
import { FAULT_HELPER, Run, fault } from "./run";
import { me } from "./task";

/** Whether programs of a type may call a helper. */
export function hasHelper(id: i32, type: u32): bool {
  switch (id) {
    case BPF_FUNC_map_lookup_elem:
    case BPF_FUNC_map_update_elem:
    case BPF_FUNC_map_delete_elem:
    case BPF_FUNC_map_push_elem:
    case BPF_FUNC_map_pop_elem:
    case BPF_FUNC_map_peek_elem:
    case BPF_FUNC_map_lookup_percpu_elem:
    case BPF_FUNC_get_prandom_u32:
    case BPF_FUNC_get_smp_processor_id:
    case BPF_FUNC_get_current_pid_tgid:
    case BPF_FUNC_get_current_uid_gid:
    case BPF_FUNC_get_current_comm:
    case BPF_FUNC_ktime_get_ns:
    case BPF_FUNC_ktime_get_boot_ns:
    case BPF_FUNC_ktime_get_coarse_ns:
    case BPF_FUNC_ktime_get_tai_ns:
    case BPF_FUNC_tail_call:
    case BPF_FUNC_loop:
    case BPF_FUNC_probe_read:
    case BPF_FUNC_probe_read_kernel:
    case BPF_FUNC_probe_read_user:
    case BPF_FUNC_ringbuf_output:
    case BPF_FUNC_ringbuf_reserve:
    case BPF_FUNC_ringbuf_submit:
    case BPF_FUNC_ringbuf_discard:
    case BPF_FUNC_ringbuf_query:
      return true;
    default:
      return false;
  }
}

/** Whether only programs under a license that goes with the GPL may call it. */
export function isGplOnly(id: i32): bool {
  switch (id) {
    case BPF_FUNC_probe_read:
    case BPF_FUNC_probe_read_kernel:
    case BPF_FUNC_probe_read_user:
      return true;
    default:
      return false;
  }
}

/** Calls a helper. `insn` is the slot that calls it. Look at run.fault afterwards. */
export function callHelper(id: i32, insn: u32, r1: u64, r2: u64, r3: u64, r4: u64, r5: u64): u64 {
  switch (id) {
    case BPF_FUNC_map_lookup_elem:
      return mapLookup(insn, r1, r2);
    case BPF_FUNC_map_update_elem:
      return mapUpdate(insn, r1, r2, r3, r4);
    case BPF_FUNC_map_delete_elem:
      return mapDelete(insn, r1, r2);
    case BPF_FUNC_map_push_elem:
      return mapPush(insn, r1, r2, r3);
    case BPF_FUNC_map_pop_elem:
      return mapPop(insn, r1, r2);
    case BPF_FUNC_map_peek_elem:
      return mapPeek(insn, r1, r2);
    case BPF_FUNC_map_lookup_percpu_elem:
      return mapLookupPerCpu(insn, r1, r2, r3);
    case BPF_FUNC_get_prandom_u32:
      return prandom();
    case BPF_FUNC_get_smp_processor_id:
      return me().cpu - 1;
    case BPF_FUNC_get_current_pid_tgid:
      return currentPidTgid();
    case BPF_FUNC_get_current_uid_gid:
      return 0;
    case BPF_FUNC_get_current_comm:
      return currentComm(insn, r1, r2);
    case BPF_FUNC_ktime_get_ns:
    case BPF_FUNC_ktime_get_boot_ns:
    case BPF_FUNC_ktime_get_coarse_ns:
      return bootNs();
    case BPF_FUNC_ktime_get_tai_ns:
      return realNs();
    case BPF_FUNC_tail_call:
      return tailCall(insn, r1, r2, r3);
    case BPF_FUNC_loop:
      return callLoop(insn, r1, r2, r3, r4);
    case BPF_FUNC_probe_read:
    case BPF_FUNC_probe_read_kernel:
    case BPF_FUNC_probe_read_user:
      return probeRead(insn, r1, r2, r3);
    case BPF_FUNC_ringbuf_output:
      return output(insn, r1, r2, r3, r4);
    case BPF_FUNC_ringbuf_reserve:
      return reserve(insn, r1, r2, r3);
    case BPF_FUNC_ringbuf_submit:
      return release(insn, r1, r2, true);
    case BPF_FUNC_ringbuf_discard:
      return release(insn, r1, r2, false);
    case BPF_FUNC_ringbuf_query:
      return query(insn, r1, r2);
    default:
      fault(FAULT_HELPER, insn, id);
      return 0;
  }
}

/** The same, for compiled code. */
export function progHelper(id: i32, insn: u32, r1: u64, r2: u64, r3: u64, r4: u64, r5: u64): u64 {
  return callHelper(id, insn, r1, r2, r3, r4, r5);
}

/** Gives back what a program has held when it ended. */
export function releaseHeld(run: Run): void {
  releaseRecords(run);
}
