/**
 * Findings of check.ts: a list of four words each, in user memory that the caller gave.
 */
import { me } from "./task";

const FINDING_BYTES: u32 = 16;

export function startFindings(to: usize, room: u32): void {
  const task = me();
  task.findingsAt = <u32>to;
  task.findingsRoom = room;
  task.findings = 0;
}

export function finding(what: u32, where: u32, found: u32, wanted: u32): void {
  const task = me();
  const at = <usize>task.findingsAt + <usize>task.findings * FINDING_BYTES;
  if ((task.findings + 1) * FINDING_BYTES <= task.findingsRoom) {
    store<u32>(at, what);
    store<u32>(at, where, 4);
    store<u32>(at, found, 8);
    store<u32>(at, wanted, 12);
  }
  task.findings++;
}

export function findings(): u32 {
  return me().findings;
}

/** Code of a finding of maps whose elems are maps: an elem's id is no such map's. */
export const ELEM_OF_NO_MAP: u32 = 44;
/** Of maps of devices: an elem's id is no program's. */
export const ELEM_OF_NO_PROG: u32 = 46;
