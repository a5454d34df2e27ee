/**
 * Helpers that give records to user space: by ring buffers, and by arrays of them (PERF_EVENT_ARRAY). A record that was reserved is the program's until it is submitted or discarded; when the program ends, what it
 * still holds is discarded.
 */
import {
  BPF_F_CTXLEN_MASK,
  BPF_F_CURRENT_CPU,
  BPF_F_INDEX_MASK,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
} from "../../src/uapi/bpf";
import { E2BIG, EFAULT, EINVAL, ENOENT, ENOSPC } from "../../src/uapi/errno";
import { BpfMap } from "../map";
import { ArrayMap } from "../maps/_array";
import { roundUp8 } from "../maps/_value";
import { idAt } from "../maps/_map_in_map";
import { Ringbuf, ringDiscard, ringOutput, ringQuery, ringReserve, ringSubmit } from "../maps/ringbuf";
import { Run, heldRecord, holdRecord, myRun, releaseRecord } from "../run";
import { me } from "../task";
import { heldMap } from "./maps";
import { isContext } from "./packets";
import { isNoMap, mapArg, mayRead, refuse, result } from "./_arguments";

function ringArg(insn: u32, r1: u64): BpfMap {
  const map = mapArg(insn, r1);
  if (isNoMap(map) || map.type == BPF_MAP_TYPE_RINGBUF) return map;
  refuse(insn, r1);
  return changetype<BpfMap>(0);
}

export function output(insn: u32, r1: u64, from: u64, size: u64, flags: u64): u64 {
  const map = ringArg(insn, r1);
  if (isNoMap(map) || !mayRead(insn, from, size)) return 0;
  return result(ringOutput(changetype<Ringbuf>(map), <usize>from, <u32>size, <u32>flags));
}

export function reserve(insn: u32, r1: u64, size: u64, flags: u64): u64 {
  const map = ringArg(insn, r1);
  if (isNoMap(map) || flags != 0 || size > u32.MAX_VALUE) return 0;
  const ring = changetype<Ringbuf>(map);
  const at = ringReserve(ring, <u32>size);
  if (at == 0) return 0;
  if (holdRecord(<u32>at, <u32>size, <u32>r1, 0)) return at;
  ringDiscard(ring, at, 0);
  return 0;
}

export function release(insn: u32, record: u64, flags: u64, submits: bool): u64 {
  const map = releaseRecord(record);
  if (map == 0) return refuse(insn, record);
  const ring = changetype<Ringbuf>(<usize>map);
  if (submits) ringSubmit(ring, <usize>record, <u32>flags);
  else ringDiscard(ring, <usize>record, <u32>flags);
  return 0;
}

export function query(insn: u32, r1: u64, what: u64): u64 {
  const map = ringArg(insn, r1);
  return isNoMap(map) ? 0 : ringQuery(changetype<Ringbuf>(map), <u32>what);
}

export function releaseRecords(run: Run): void {
  while (run.held != 0) {
    const record = heldRecord(run, run.held - 1);
    const at: usize = record.at;
    run.held--;
    ringDiscard(changetype<Ringbuf>(<usize>record.map), at, 0);
  }
}

/**
 * bpf_perf_event_output: sends bytes, and behind them the packet's first, as many as the flags say. A record has the size of what perf makes
 * of it: 4 less than a multiple of 8. Differs from Linux: what fills it up is zeroes.
 */
export function perfOutput(insn: u32, ctx: u64, r2: u64, flags: u64, from: u64, size: u64): u64 {
  const map = mapArg(insn, r2);
  if (isNoMap(map) || !isContext(insn, ctx) || !mayRead(insn, from, size)) return 0;
  if (map.type != BPF_MAP_TYPE_PERF_EVENT_ARRAY) return refuse(insn, r2);
  const run = myRun();
  // Those that look at packets have one.
  const mayTakePacket = run.data != 0;
  if ((flags & ~(<u64>BPF_F_INDEX_MASK | (mayTakePacket ? <u64>BPF_F_CTXLEN_MASK : 0))) != 0) return result(-EINVAL);
  const packetBytes = <u32>(flags >> 32);
  if (mayTakePacket && packetBytes > run.dataEnd - run.packet) return result(-EFAULT);
  let index = <u32>flags;
  if (index == <u32>BPF_F_CURRENT_CPU) index = me().cpu - 1;
  if (index >= map.maxEntries) return result(-E2BIG);
  const ring = heldMap(idAt(changetype<ArrayMap>(map), index));
  return ring == 0 ? result(-ENOENT) : result(send(changetype<Ringbuf>(ring), <usize>from, <u32>size, run.packet, packetBytes));
}

function send(ring: Ringbuf, from: usize, size: u32, packet: usize, packetBytes: u32): i32 {
  const sum = <u64>size + packetBytes;
  if (sum > <u64>ring.maxEntries) return -ENOSPC;
  const bytes = roundUp8(<u32>sum + 4) - 4;
  const to = ringReserve(ring, bytes);
  if (to == 0) return -ENOSPC;
  memory.copy(to, from, size);
  if (packetBytes != 0) memory.copy(to + size, packet, packetBytes);
  memory.fill(to + <u32>sum, 0, bytes - <u32>sum);
  ringSubmit(ring, to, 0);
  return 0;
}
