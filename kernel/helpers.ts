/**
 * Helpers: what programs may call, by number. Behaves as the protos of kernel/bpf/helpers.c, net/core/filter.c and
 * kernel/trace/bpf_trace.c.
 *
 * A helper looks at its own arguments: pointers must be the program's (progAccess), maps ones that it uses (mapArg). What is wrong ends the
 * program, since there is no verifier that would have refused it.
 *
 * To add one: write it in helpers/, and add its row to the switches below, and its name to helpers_by_name.ts. Which types may call it, and whether under the GPL alone, is what
 * Linux answers to a program that calls it (test/program/helpers.test.ts asks).
 */
import {
  BPF_FUNC_csum_diff,
  BPF_FUNC_csum_update,
  BPF_FUNC_dynptr_data,
  BPF_FUNC_dynptr_from_mem,
  BPF_FUNC_dynptr_read,
  BPF_FUNC_dynptr_write,
  BPF_FUNC_for_each_map_elem,
  BPF_FUNC_get_current_comm,
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_get_current_uid_gid,
  BPF_FUNC_get_numa_node_id,
  BPF_FUNC_get_prandom_u32,
  BPF_FUNC_get_smp_processor_id,
  BPF_FUNC_jiffies64,
  BPF_FUNC_ktime_get_boot_ns,
  BPF_FUNC_ktime_get_coarse_ns,
  BPF_FUNC_ktime_get_ns,
  BPF_FUNC_ktime_get_tai_ns,
  BPF_FUNC_l3_csum_replace,
  BPF_FUNC_l4_csum_replace,
  BPF_FUNC_loop,
  BPF_FUNC_map_delete_elem,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_lookup_percpu_elem,
  BPF_FUNC_map_peek_elem,
  BPF_FUNC_map_pop_elem,
  BPF_FUNC_map_push_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_perf_event_output,
  BPF_FUNC_probe_read,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_kernel_str,
  BPF_FUNC_probe_read_str,
  BPF_FUNC_probe_read_user,
  BPF_FUNC_probe_read_user_str,
  BPF_FUNC_redirect,
  BPF_FUNC_redirect_map,
  BPF_FUNC_ringbuf_discard,
  BPF_FUNC_ringbuf_discard_dynptr,
  BPF_FUNC_ringbuf_output,
  BPF_FUNC_ringbuf_query,
  BPF_FUNC_ringbuf_reserve,
  BPF_FUNC_ringbuf_reserve_dynptr,
  BPF_FUNC_ringbuf_submit,
  BPF_FUNC_ringbuf_submit_dynptr,
  BPF_FUNC_skb_change_tail,
  BPF_FUNC_skb_load_bytes,
  BPF_FUNC_skb_pull_data,
  BPF_FUNC_skb_store_bytes,
  BPF_FUNC_snprintf,
  BPF_FUNC_spin_lock,
  BPF_FUNC_spin_unlock,
  BPF_FUNC_strncmp,
  BPF_FUNC_strtol,
  BPF_FUNC_strtoul,
  BPF_FUNC_tail_call,
  BPF_FUNC_timer_cancel,
  BPF_FUNC_timer_init,
  BPF_FUNC_timer_set_callback,
  BPF_FUNC_timer_start,
  BPF_FUNC_trace_printk,
  BPF_FUNC_trace_vprintk,
  BPF_FUNC_user_ringbuf_drain,
  BPF_FUNC_xdp_adjust_head,
  BPF_FUNC_xdp_adjust_meta,
  BPF_FUNC_xdp_adjust_tail,
  BPF_FUNC_xdp_get_buff_len,
  BPF_FUNC_xdp_load_bytes,
  BPF_FUNC_xdp_store_bytes,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_XDP,
} from "../src/uapi/bpf";
import { bootNs, realNs } from "./clock";
import { callLoop, forEachElem } from "./helpers/callbacks";
import {
  drain,
  dynptrData,
  dynptrFromMem,
  dynptrRead,
  dynptrWrite,
  releaseDynptr,
  reserveDynptr,
} from "./helpers/dynptrs";
import { releaseLock, spinLock, spinUnlock } from "./helpers/locks";
import { mapDelete, mapLookup, mapLookupPerCpu, mapPeek, mapPop, mapPush, mapUpdate } from "./helpers/maps";
import { currentComm, currentPidTgid, prandom, probeRead, probeReadText } from "./helpers/misc";
import {
  csumDiff,
  csumUpdate,
  l3CsumReplace,
  l4CsumReplace,
  redirect,
  redirectMap,
  skbChangeTail,
  skbLoadBytes,
  skbPullData,
  skbStoreBytes,
  xdpAdjustHead,
  xdpAdjustMeta,
  xdpAdjustTail,
  xdpBuffLen,
  xdpLoadBytes,
  xdpStoreBytes,
} from "./helpers/packets";
import { printk, snprintf, vprintk } from "./helpers/prints";
import { output, perfOutput, query, release, releaseRecords, reserve } from "./helpers/rings";
import { compare, toNumber } from "./helpers/strings";
import { tailCall } from "./helpers/tail_call";
import { timerCancel, timerInit, timerSetCallback, timerStart } from "./helpers/timers";
import { writeBackTries } from "./helpers/tries";
import { FAULT_HELPER, Run, fault, myRun } from "./run";
import { me } from "./task";

/** Whether programs of a type look at packets. */
function isNet(type: u32): bool {
  return type == BPF_PROG_TYPE_XDP || type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SOCKET_FILTER;
}

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
    case BPF_FUNC_for_each_map_elem:
    case BPF_FUNC_loop:
    case BPF_FUNC_tail_call:
    case BPF_FUNC_spin_lock:
    case BPF_FUNC_spin_unlock:
    case BPF_FUNC_get_prandom_u32:
    case BPF_FUNC_get_smp_processor_id:
    case BPF_FUNC_get_numa_node_id:
    case BPF_FUNC_get_current_pid_tgid:
    case BPF_FUNC_get_current_uid_gid:
    case BPF_FUNC_get_current_comm:
    case BPF_FUNC_ktime_get_ns:
    case BPF_FUNC_ktime_get_boot_ns:
    case BPF_FUNC_ktime_get_tai_ns:
    case BPF_FUNC_jiffies64:
    case BPF_FUNC_probe_read_kernel:
    case BPF_FUNC_probe_read_user:
    case BPF_FUNC_probe_read_kernel_str:
    case BPF_FUNC_probe_read_user_str:
    case BPF_FUNC_ringbuf_output:
    case BPF_FUNC_ringbuf_reserve:
    case BPF_FUNC_ringbuf_submit:
    case BPF_FUNC_ringbuf_discard:
    case BPF_FUNC_ringbuf_query:
    case BPF_FUNC_ringbuf_reserve_dynptr:
    case BPF_FUNC_ringbuf_submit_dynptr:
    case BPF_FUNC_ringbuf_discard_dynptr:
    case BPF_FUNC_dynptr_from_mem:
    case BPF_FUNC_dynptr_read:
    case BPF_FUNC_dynptr_write:
    case BPF_FUNC_dynptr_data:
    case BPF_FUNC_user_ringbuf_drain:
    case BPF_FUNC_perf_event_output:
    case BPF_FUNC_trace_printk:
    case BPF_FUNC_trace_vprintk:
    case BPF_FUNC_snprintf:
    case BPF_FUNC_strtol:
    case BPF_FUNC_strtoul:
    case BPF_FUNC_strncmp:
    case BPF_FUNC_timer_init:
    case BPF_FUNC_timer_set_callback:
    case BPF_FUNC_timer_start:
    case BPF_FUNC_timer_cancel:
      return true;
    case BPF_FUNC_ktime_get_coarse_ns:
      return isNet(type);
    case BPF_FUNC_probe_read:
    case BPF_FUNC_probe_read_str:
      return !isNet(type);
    case BPF_FUNC_redirect:
    case BPF_FUNC_csum_diff:
      return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_XDP;
    case BPF_FUNC_redirect_map:
    case BPF_FUNC_xdp_adjust_head:
    case BPF_FUNC_xdp_adjust_meta:
    case BPF_FUNC_xdp_adjust_tail:
    case BPF_FUNC_xdp_get_buff_len:
    case BPF_FUNC_xdp_load_bytes:
    case BPF_FUNC_xdp_store_bytes:
      return type == BPF_PROG_TYPE_XDP;
    case BPF_FUNC_skb_load_bytes:
      return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SOCKET_FILTER;
    case BPF_FUNC_skb_store_bytes:
    case BPF_FUNC_skb_pull_data:
    case BPF_FUNC_skb_change_tail:
    case BPF_FUNC_csum_update:
    case BPF_FUNC_l3_csum_replace:
    case BPF_FUNC_l4_csum_replace:
      return type == BPF_PROG_TYPE_SCHED_CLS;
    default:
      return false;
  }
}

/** Whether only programs under a license that goes with the GPL may call it. */
export function isGplOnly(id: i32): bool {
  switch (id) {
    case BPF_FUNC_probe_read:
    case BPF_FUNC_probe_read_str:
    case BPF_FUNC_probe_read_kernel:
    case BPF_FUNC_probe_read_user:
    case BPF_FUNC_probe_read_kernel_str:
    case BPF_FUNC_probe_read_user_str:
    case BPF_FUNC_trace_printk:
    case BPF_FUNC_trace_vprintk:
    case BPF_FUNC_snprintf:
    case BPF_FUNC_timer_init:
    case BPF_FUNC_timer_set_callback:
    case BPF_FUNC_timer_start:
    case BPF_FUNC_timer_cancel:
    case BPF_FUNC_perf_event_output:
      return true;
    default:
      return false;
  }
}

/** Calls a helper. `insn` is the slot that calls it. Look at run.fault afterwards. */
export function callHelper(id: i32, insn: u32, r1: u64, r2: u64, r3: u64, r4: u64, r5: u64): u64 {
  if (myRun().locked != 0 && id != BPF_FUNC_spin_unlock) {
    fault(FAULT_HELPER, insn, id);
    return 0;
  }
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
    case BPF_FUNC_for_each_map_elem:
      return forEachElem(insn, r1, r2, r3, r4);
    case BPF_FUNC_loop:
      return callLoop(insn, r1, r2, r3, r4);
    case BPF_FUNC_tail_call:
      return tailCall(insn, r1, r2, r3);
    case BPF_FUNC_spin_lock:
      return spinLock(insn, r1);
    case BPF_FUNC_spin_unlock:
      return spinUnlock(insn, r1);
    case BPF_FUNC_get_prandom_u32:
      return prandom();
    case BPF_FUNC_get_smp_processor_id:
      return me().cpu - 1;
    case BPF_FUNC_get_numa_node_id:
      return 0;
    case BPF_FUNC_get_current_pid_tgid:
      return currentPidTgid();
    case BPF_FUNC_get_current_uid_gid:
      return 0;
    case BPF_FUNC_get_current_comm:
      return currentComm(insn, r1, r2);
    case BPF_FUNC_ktime_get_ns:
      return bootNs();
    case BPF_FUNC_ktime_get_boot_ns:
      return bootNs();
    case BPF_FUNC_ktime_get_coarse_ns:
      return bootNs();
    case BPF_FUNC_ktime_get_tai_ns:
      return realNs();
    case BPF_FUNC_jiffies64:
      return bootNs() / 1000000;
    case BPF_FUNC_probe_read:
      return probeRead(insn, r1, r2, r3);
    case BPF_FUNC_probe_read_str:
      return probeReadText(insn, r1, r2, r3);
    case BPF_FUNC_probe_read_kernel:
      return probeRead(insn, r1, r2, r3);
    case BPF_FUNC_probe_read_user:
      return probeRead(insn, r1, r2, r3);
    case BPF_FUNC_probe_read_kernel_str:
      return probeReadText(insn, r1, r2, r3);
    case BPF_FUNC_probe_read_user_str:
      return probeReadText(insn, r1, r2, r3);
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
    case BPF_FUNC_ringbuf_reserve_dynptr:
      return reserveDynptr(insn, r1, r2, r3, r4);
    case BPF_FUNC_ringbuf_submit_dynptr:
      return releaseDynptr(insn, r1, r2, true);
    case BPF_FUNC_ringbuf_discard_dynptr:
      return releaseDynptr(insn, r1, r2, false);
    case BPF_FUNC_dynptr_from_mem:
      return dynptrFromMem(insn, r1, r2, r3, r4);
    case BPF_FUNC_dynptr_read:
      return dynptrRead(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_dynptr_write:
      return dynptrWrite(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_dynptr_data:
      return dynptrData(insn, r1, r2, r3);
    case BPF_FUNC_user_ringbuf_drain:
      return drain(insn, r1, r2, r3, r4);
    case BPF_FUNC_perf_event_output:
      return perfOutput(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_trace_printk:
      return printk(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_trace_vprintk:
      return vprintk(insn, r1, r2, r3, r4);
    case BPF_FUNC_snprintf:
      return snprintf(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_strtol:
      return toNumber(insn, r1, r2, r3, r4, true);
    case BPF_FUNC_strtoul:
      return toNumber(insn, r1, r2, r3, r4, false);
    case BPF_FUNC_strncmp:
      return compare(insn, r1, r2, r3);
    case BPF_FUNC_timer_init:
      return timerInit(insn, r1, r2, r3);
    case BPF_FUNC_timer_set_callback:
      return timerSetCallback(insn, r1, r2);
    case BPF_FUNC_timer_start:
      return timerStart(insn, r1, r2, r3);
    case BPF_FUNC_timer_cancel:
      return timerCancel(insn, r1);
    case BPF_FUNC_redirect:
      return redirect(r2);
    case BPF_FUNC_redirect_map:
      return redirectMap(insn, r1, r2, r3);
    case BPF_FUNC_csum_diff:
      return csumDiff(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_xdp_adjust_head:
      return xdpAdjustHead(insn, r1, r2);
    case BPF_FUNC_xdp_adjust_meta:
      return xdpAdjustMeta(insn, r1, r2);
    case BPF_FUNC_xdp_adjust_tail:
      return xdpAdjustTail(insn, r1, r2);
    case BPF_FUNC_xdp_get_buff_len:
      return xdpBuffLen(insn, r1);
    case BPF_FUNC_xdp_load_bytes:
      return xdpLoadBytes(insn, r1, r2, r3, r4);
    case BPF_FUNC_xdp_store_bytes:
      return xdpStoreBytes(insn, r1, r2, r3, r4);
    case BPF_FUNC_skb_load_bytes:
      return skbLoadBytes(insn, r1, r2, r3, r4);
    case BPF_FUNC_skb_store_bytes:
      return skbStoreBytes(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_skb_pull_data:
      return skbPullData(insn, r1, r2);
    case BPF_FUNC_skb_change_tail:
      return skbChangeTail(insn, r1, r2, r3);
    case BPF_FUNC_csum_update:
      return csumUpdate(insn, r1);
    case BPF_FUNC_l3_csum_replace:
      return l3CsumReplace(insn, r1, r2, r3, r4, r5);
    case BPF_FUNC_l4_csum_replace:
      return l4CsumReplace(insn, r1, r2, r3, r4, r5);
    default:
      fault(FAULT_HELPER, insn, id);
      return 0;
  }
}

/** Gives back what a program has held when it ended. */
export function releaseHeld(run: Run): void {
  if (run.locked != 0) releaseLock(run);
  writeBackTries(run);
  releaseRecords(run);
}
