/**
 * What maps answer that have neither batches nor LOOKUP_AND_DELETE.
 */
import {
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_UPDATE_BATCH,
  ENOTSUPP,
} from "tsbpf/uapi";
import { KEYS, OUT, VALUE } from "../machine/arena.js";
import type { Fd, Teller } from "./story.js";

export function hasNoBatches(t: Teller, map_fd: Fd): void {
  const fields = { map_fd, out_batch: { to: OUT }, keys: { to: KEYS }, values: { to: VALUE } };
  for (const cmd of [
    BPF_MAP_LOOKUP_BATCH,
    BPF_MAP_UPDATE_BATCH,
    BPF_MAP_DELETE_BATCH,
    BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  ]) {
    for (const count of [0, 1]) t.command(cmd, "batch", { ...fields, count, elem_flags: count }, -ENOTSUPP);
  }
  const elem = { map_fd, key: { to: KEYS }, value: { to: VALUE } };
  t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", elem, -ENOTSUPP);
}
