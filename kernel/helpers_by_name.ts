/**
 * Helpers by name, as compiled code calls them: each takes the slot that calls it and the registers that it looks at; one without parameters
 * needs neither, and cannot fail. The compiler finds them by BPF_FUNC_*, and how many registers they take by the parameters that the
 * function has. What is not here is called through `progHelper`, which costs 1 to 2 ns more.
 */
import { bootNs } from "./clock";
import { releaseDynptr } from "./helpers/dynptrs";
import { redirect } from "./helpers/packets";
import { release } from "./helpers/rings";
import { toNumber } from "./helpers/strings";
import { me } from "./task";

export {
  bootNs as bpf_ktime_get_ns,
  bootNs as bpf_ktime_get_boot_ns,
  bootNs as bpf_ktime_get_coarse_ns,
  realNs as bpf_ktime_get_tai_ns,
} from "./clock";
export { forEachElem as bpf_for_each_map_elem, callLoop as bpf_loop } from "./helpers/callbacks";
export {
  reserveDynptr as bpf_ringbuf_reserve_dynptr,
  dynptrFromMem as bpf_dynptr_from_mem,
  dynptrRead as bpf_dynptr_read,
  dynptrWrite as bpf_dynptr_write,
  dynptrData as bpf_dynptr_data,
  drain as bpf_user_ringbuf_drain,
} from "./helpers/dynptrs";
export { spinLock as bpf_spin_lock, spinUnlock as bpf_spin_unlock } from "./helpers/locks";
export {
  mapLookup as bpf_map_lookup_elem,
  mapUpdate as bpf_map_update_elem,
  mapDelete as bpf_map_delete_elem,
  mapPush as bpf_map_push_elem,
  mapPop as bpf_map_pop_elem,
  mapPeek as bpf_map_peek_elem,
  mapLookupPerCpu as bpf_map_lookup_percpu_elem,
} from "./helpers/maps";
export {
  prandom as bpf_get_prandom_u32,
  currentPidTgid as bpf_get_current_pid_tgid,
  currentComm as bpf_get_current_comm,
  probeRead as bpf_probe_read,
  probeReadText as bpf_probe_read_str,
  probeRead as bpf_probe_read_kernel,
  probeRead as bpf_probe_read_user,
  probeReadText as bpf_probe_read_kernel_str,
  probeReadText as bpf_probe_read_user_str,
} from "./helpers/misc";
export {
  csumDiff as bpf_csum_diff,
  redirectMap as bpf_redirect_map,
  xdpAdjustHead as bpf_xdp_adjust_head,
  xdpAdjustMeta as bpf_xdp_adjust_meta,
  xdpAdjustTail as bpf_xdp_adjust_tail,
  xdpBuffLen as bpf_xdp_get_buff_len,
  xdpLoadBytes as bpf_xdp_load_bytes,
  xdpStoreBytes as bpf_xdp_store_bytes,
  skbLoadBytes as bpf_skb_load_bytes,
  skbStoreBytes as bpf_skb_store_bytes,
  skbPullData as bpf_skb_pull_data,
  skbChangeTail as bpf_skb_change_tail,
  csumUpdate as bpf_csum_update,
  l3CsumReplace as bpf_l3_csum_replace,
  l4CsumReplace as bpf_l4_csum_replace,
} from "./helpers/packets";
export { printk as bpf_trace_printk, vprintk as bpf_trace_vprintk, snprintf as bpf_snprintf } from "./helpers/prints";
export {
  output as bpf_ringbuf_output,
  reserve as bpf_ringbuf_reserve,
  perfOutput as bpf_perf_event_output,
  query as bpf_ringbuf_query,
} from "./helpers/rings";
export { compare as bpf_strncmp } from "./helpers/strings";
export { tailCall as bpf_tail_call } from "./helpers/tail_call";
export {
  timerCancel as bpf_timer_cancel,
  timerInit as bpf_timer_init,
  timerSetCallback as bpf_timer_set_callback,
  timerStart as bpf_timer_start,
} from "./helpers/timers";

export function bpf_get_smp_processor_id(): u64 {
  return me().cpu - 1;
}

export function bpf_get_numa_node_id(): u64 {
  return 0;
}

export function bpf_get_current_uid_gid(): u64 {
  return 0;
}

export function bpf_jiffies64(): u64 {
  return bootNs() / 1000000;
}

export function bpf_ringbuf_submit(insn: u32, record: u64, flags: u64): u64 {
  return release(insn, record, flags, true);
}

export function bpf_ringbuf_discard(insn: u32, record: u64, flags: u64): u64 {
  return release(insn, record, flags, false);
}

export function bpf_ringbuf_submit_dynptr(insn: u32, ptr: u64, flags: u64): u64 {
  return releaseDynptr(insn, ptr, flags, true);
}

export function bpf_ringbuf_discard_dynptr(insn: u32, ptr: u64, flags: u64): u64 {
  return releaseDynptr(insn, ptr, flags, false);
}

export function bpf_strtol(insn: u32, from: u64, bytes: u64, flags: u64, to: u64): u64 {
  return toNumber(insn, from, bytes, flags, to, true);
}

export function bpf_strtoul(insn: u32, from: u64, bytes: u64, flags: u64, to: u64): u64 {
  return toNumber(insn, from, bytes, flags, to, false);
}

export function bpf_redirect(_insn: u32, _ifindex: u64, flags: u64): u64 {
  return redirect(flags);
}
