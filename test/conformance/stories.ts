/**
 * The stories there are.
 */
import { BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_USER_RINGBUF } from "tsbpf/uapi";
import { arena } from "./arena.js";
import { array } from "./array.js";
import { arrayOfMaps } from "./array_of_maps.js";
import { bloomFilter } from "./bloom_filter.js";
import { btf } from "./btf.js";
import { changeBatch } from "./change_batch.js";
import { create } from "./create.js";
import { devmap, devmapHash } from "./devmap.js";
import { elem } from "./elem.js";
import { envelope } from "./envelope.js";
import { freezeStory } from "./freeze.js";
import { hash } from "./hash.js";
import { hashOfMaps } from "./hash_of_maps.js";
import { ids } from "./ids.js";
import { info } from "./info.js";
import { lookupAndDelete } from "./lookup_and_delete.js";
import { lookupBatch } from "./lookup_batch.js";
import { lpmTrie } from "./lpm_trie.js";
import { lruHash } from "./lru_hash.js";
import { lruPercpuHash } from "./lru_percpu_hash.js";
import { percpuArray } from "./percpu_array.js";
import { percpuHash } from "./percpu_hash.js";
import { perfEventArray } from "./perf_event_array.js";
import { pins } from "./pins.js";
import { progArray } from "./prog_array.js";
import { queue } from "./queue.js";
import { ringbuf } from "./ringbuf.js";
import { stack } from "./stack.js";
import type { Story } from "./story.js";

export const stories: Readonly<Record<string, Story>> = {
  envelope,
  BPF_MAP_CREATE: create,
  "commands on elems": elem,
  BPF_MAP_LOOKUP_BATCH: lookupBatch,
  "batches that change": changeBatch,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM: lookupAndDelete,
  BPF_MAP_FREEZE: freezeStory,
  BPF_OBJ_GET_INFO_BY_FD: info,
  "pinned names": pins,
  ids,
  btf,
  hash,
  array,
  lru_hash: lruHash,
  lru_percpu_hash: lruPercpuHash,
  percpu_hash: percpuHash,
  percpu_array: percpuArray,
  array_of_maps: arrayOfMaps,
  hash_of_maps: hashOfMaps,
  prog_array: progArray,
  perf_event_array: perfEventArray,
  devmap,
  devmap_hash: devmapHash,
  lpm_trie: lpmTrie,
  queue,
  stack,
  bloom_filter: bloomFilter,
  ringbuf: ringbuf(BPF_MAP_TYPE_RINGBUF),
  user_ringbuf: ringbuf(BPF_MAP_TYPE_USER_RINGBUF),
  arena,
};
