/**
 * The stories there are.
 */
import { array } from "./array.js";
import { arrayOfMaps } from "./array_of_maps.js";
import { create } from "./create.js";
import { elem } from "./elem.js";
import { envelope } from "./envelope.js";
import { hash } from "./hash.js";
import { hashOfMaps } from "./hash_of_maps.js";
import { ids } from "./ids.js";
import { info } from "./info.js";
import { lookupBatch } from "./lookup_batch.js";
import { percpuArray } from "./percpu_array.js";
import { percpuHash } from "./percpu_hash.js";
import { pins } from "./pins.js";
import { progArray } from "./prog_array.js";
import type { Story } from "./story.js";

export const stories: Readonly<Record<string, Story>> = {
  envelope,
  BPF_MAP_CREATE: create,
  "commands on elems": elem,
  BPF_MAP_LOOKUP_BATCH: lookupBatch,
  BPF_OBJ_GET_INFO_BY_FD: info,
  "pinned names": pins,
  ids,
  hash,
  array,
  percpu_hash: percpuHash,
  percpu_array: percpuArray,
  array_of_maps: arrayOfMaps,
  hash_of_maps: hashOfMaps,
  prog_array: progArray,
};
