/**
 * BPF_MAP_TYPE_PERCPU_ARRAY: values have a slot for each possible CPU, value_size rounded up to 8.
 */
import { BPF_MAP_TYPE_PERCPU_ARRAY, E2BIG } from "tsbpf/uapi";
import { hasAllElems, neverDeletes, refusesSizes, refusesUpdates, walksIndices } from "./_array_family.js";
import { type Story, type Teller, run, u32 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_PERCPU_ARRAY, key_size: 4, value_size: 8, max_entries: 4 };

/** Slots of 8 bytes, each with bytes of its own. */
function slots(t: Teller): (i: number) => Uint8Array {
  return (i) => run(8 * t.possibleCpus, i + 1);
}

export const percpuArray: Story = {
  "key_size is 4": (t) => refusesSizes(t, base),

  "a slot has at most 32768 bytes: else E2BIG": (t) => {
    for (const value_size of [32761, 32768]) t.close(t.create({ ...base, value_size, max_entries: 1 }));
    for (const value_size of [32769, 65536, 2 ** 31 - 1]) t.refuses(-E2BIG, { ...base, value_size });
  },

  "has all its elems from the start, and they are zero": (t) => hasAllElems(t, base, slots(t)),

  "an update: flags, then the index, then BPF_NOEXIST": (t) => refusesUpdates(t, base, slots(t)),

  "nothing can be deleted": (t) => neverDeletes(t, base, slots(t)),

  "keys follow each other; one that is none is followed by the first": (t) => walksIndices(t, base),

  "padding between slots is stored, and read back": (t) => {
    for (const value_size of [1, 3, 4, 5, 7, 8, 9, 12, 17, 100, 1001]) {
      const fd = t.create({ ...base, value_size });
      const bytes = Math.ceil(value_size / 8) * 8 * t.possibleCpus;
      for (let i = 0; i < 4; i++) t.update(fd, u32(i), run(bytes, 7 * i + 1));
      for (let i = 0; i < 4; i++) t.lookup(fd, u32(i), run(bytes, 7 * i + 1));
      t.close(fd);
    }
  },
};
