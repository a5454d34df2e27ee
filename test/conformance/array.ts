/**
 * BPF_MAP_TYPE_ARRAY.
 */
import { BPF_F_INNER_MAP, BPF_F_MMAPABLE, BPF_MAP_TYPE_ARRAY, ENOMEM } from "tsbpf/uapi";
import { hasAllElems, neverDeletes, refusesSizes, refusesUpdates, walksIndices } from "./_array_family.js";
import { type Story, run, u32, u64 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 4 };

export const array: Story = {
  "key_size is 4, value_size below 2 GiB": (t) => refusesSizes(t, base),

  "what no memory holds is ENOMEM": (t) => {
    t.refuses(-ENOMEM, { ...base, value_size: 2 ** 20, max_entries: 2 ** 32 - 1 });
    t.refuses(-ENOMEM, { ...base, value_size: 2 ** 31 - 8, max_entries: 2 ** 30 });
    t.refuses(-ENOMEM, { ...base, value_size: 2 ** 31 - 1, max_entries: 2 ** 30 });
  },

  "has all its elems from the start, and they are zero": (t) => {
    hasAllElems(t, base, (i) => u64(i + 1));
    hasAllElems(t, { ...base, map_flags: BPF_F_MMAPABLE }, (i) => u64(i + 1));
    hasAllElems(t, { ...base, map_flags: BPF_F_INNER_MAP }, (i) => u64(i + 1));
  },

  "an update: flags, then the index, then BPF_NOEXIST": (t) => refusesUpdates(t, base, (i) => u64(i + 1)),

  "nothing can be deleted": (t) => neverDeletes(t, base, (i) => u64(i + 1)),

  "keys follow each other; one that is none is followed by the first": (t) => walksIndices(t, base),

  "values of each size, and nothing beside them": (t) => {
    for (const map_flags of [0, BPF_F_MMAPABLE]) {
      for (const value_size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 63, 64, 65, 100, 1000, 4000]) {
        const fd = t.create({ ...base, value_size, map_flags });
        for (let i = 0; i < 4; i++) t.update(fd, u32(i), run(value_size, 7 * i));
        for (let i = 0; i < 4; i++) t.lookup(fd, u32(i), run(value_size, 7 * i));
        t.update(fd, u32(1), run(value_size, 99));
        for (const [i, first] of [0, 99, 14, 21].entries()) t.lookup(fd, u32(i), run(value_size, first));
        t.close(fd);
      }
    }
  },
};
