/**
 * Helpers on ring buffers. A record that was reserved is the program's until it is submitted or discarded; when the program ends, what it
 * still holds is discarded.
 */
import { BPF_MAP_TYPE_RINGBUF } from "../../src/uapi/bpf";
import { BpfMap } from "../map";
import { Ringbuf, ringDiscard, ringOutput, ringQuery, ringReserve, ringSubmit } from "../maps/ringbuf";
import { Run, heldRecord, holdRecord, releaseRecord } from "../run";
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
