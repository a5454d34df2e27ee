/**
 * What helpers do to a program's memory, as far as it is known of them before they run: which bytes they read and write by their arguments.
 * A helper looks itself at what it is given; this is for what is known of the frame afterwards.
 */
import {
  BPF_FUNC_get_current_comm,
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_get_current_uid_gid,
  BPF_FUNC_get_prandom_u32,
  BPF_FUNC_get_numa_node_id,
  BPF_FUNC_get_smp_processor_id,
  BPF_FUNC_jiffies64,
  BPF_FUNC_ktime_get_boot_ns,
  BPF_FUNC_ktime_get_coarse_ns,
  BPF_FUNC_ktime_get_ns,
  BPF_FUNC_ktime_get_tai_ns,
  BPF_FUNC_map_delete_elem,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_lookup_percpu_elem,
  BPF_FUNC_map_peek_elem,
  BPF_FUNC_map_pop_elem,
  BPF_FUNC_map_push_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_perf_event_output,
  BPF_FUNC_redirect,
  BPF_FUNC_redirect_map,
  BPF_FUNC_ringbuf_discard,
  BPF_FUNC_ringbuf_output,
  BPF_FUNC_ringbuf_query,
  BPF_FUNC_ringbuf_reserve,
  BPF_FUNC_ringbuf_submit,
  BPF_FUNC_spin_lock,
  BPF_FUNC_spin_unlock,
} from "../../../uapi/bpf.js";

/** Bytes that an argument points to. */
export interface Part {
  readonly reg: number;
  /** As many as a key or a value of the map in r1 has, or as a register says. */
  readonly bytes: "key" | "value" | { readonly reg: number };
  readonly isWritten?: boolean;
}

const NOTHING: readonly Part[] = [];
const key: Part = { reg: 2, bytes: "key" };
const taken: Part = { reg: 2, bytes: "value", isWritten: true };

/** By helper: of those with a map it is in r1. Those that are not here may read and write anything, and move the packet. */
const PARTS: ReadonlyMap<number, readonly Part[]> = new Map([
  [BPF_FUNC_map_lookup_elem, [key]],
  [BPF_FUNC_map_update_elem, [key, { reg: 3, bytes: "value" }]],
  [BPF_FUNC_map_delete_elem, [key]],
  [BPF_FUNC_map_lookup_percpu_elem, [key]],
  [BPF_FUNC_map_push_elem, [{ reg: 2, bytes: "value" }]],
  [BPF_FUNC_map_pop_elem, [taken]],
  [BPF_FUNC_map_peek_elem, [taken]],
  [BPF_FUNC_ringbuf_output, [{ reg: 2, bytes: { reg: 3 } }]],
  [BPF_FUNC_ringbuf_reserve, NOTHING],
  [BPF_FUNC_ringbuf_submit, NOTHING],
  [BPF_FUNC_ringbuf_discard, NOTHING],
  [BPF_FUNC_ringbuf_query, NOTHING],
  [BPF_FUNC_spin_lock, NOTHING],
  [BPF_FUNC_spin_unlock, NOTHING],
  [BPF_FUNC_perf_event_output, [{ reg: 4, bytes: { reg: 5 } }]],
  [BPF_FUNC_redirect, NOTHING],
  [BPF_FUNC_redirect_map, NOTHING],
  [BPF_FUNC_ktime_get_ns, NOTHING],
  [BPF_FUNC_ktime_get_boot_ns, NOTHING],
  [BPF_FUNC_ktime_get_coarse_ns, NOTHING],
  [BPF_FUNC_ktime_get_tai_ns, NOTHING],
  [BPF_FUNC_jiffies64, NOTHING],
  [BPF_FUNC_get_prandom_u32, NOTHING],
  [BPF_FUNC_get_smp_processor_id, NOTHING],
  [BPF_FUNC_get_numa_node_id, NOTHING],
  [BPF_FUNC_get_current_pid_tgid, NOTHING],
  [BPF_FUNC_get_current_uid_gid, NOTHING],
  [BPF_FUNC_get_current_comm, [{ reg: 1, bytes: { reg: 2 }, isWritten: true }]],
]);

/** What a helper reads and writes; undefined if nobody knows. */
export const partsOf = (id: number): readonly Part[] | undefined => PARTS.get(id);
