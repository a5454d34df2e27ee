/**
 * BPF_MAP_TYPE_ARRAY_OF_MAPS.
 */
import {
  BPF_EXIST,
  BPF_F_INNER_MAP,
  BPF_F_LOCK,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_NOEXIST,
  E2BIG,
  EINVAL,
  ENOENT,
} from "tsbpf/uapi";
import {
  holdsMaps,
  inner,
  keepsInnerMaps,
  modesOfFds,
  refusesFds,
  refusesTemplates,
  templatesMatch,
} from "./_map_in_map_family.js";
import { type Story, u32 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_ARRAY_OF_MAPS, key_size: 4, value_size: 4, max_entries: 4 };
const beyond = [4, 5, 2 ** 31, 2 ** 32 - 1];

export const arrayOfMaps: Story = {
  "sizes and flags": (t) => {
    const one = t.create(inner);
    for (const wrong of [{ key_size: 8 }, { key_size: 0 }, { value_size: 8 }, { value_size: 0 }, { max_entries: 0 }]) {
      t.refuses(-EINVAL, { ...base, inner_map_fd: one, ...wrong });
    }
    const flags = [BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED, BPF_F_MMAPABLE, BPF_F_INNER_MAP];
    for (const map_flags of [...flags, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG]) {
      t.refuses(-EINVAL, { ...base, inner_map_fd: one, map_flags });
    }
    t.create({ ...base, inner_map_fd: one, map_flags: BPF_F_NUMA_NODE });
  },

  "a template is a map, and no map of maps, nor one of programs": (t) => refusesTemplates(t, base),

  "inner maps are like the template; only plain arrays must be as long": (t) => templatesMatch(t, base),

  "holds maps: a value is an fd on the way in, an id on the way out": (t) => holdsMaps(t, base),

  "an update: flags, the index, the fd": (t) => {
    const one = t.create(inner);
    const outer = t.create({ ...base, inner_map_fd: one });
    for (const flags of [BPF_NOEXIST, BPF_EXIST, 3, BPF_F_LOCK, 8, 2n ** 32n]) {
      t.update(outer, u32(1), one, flags, -EINVAL);
      t.update(outer, u32(9), u32(0x7ffffff0), flags, -EINVAL);
    }
    for (const index of beyond) t.update(outer, u32(index), u32(0x7ffffff0), 0, -E2BIG);
    t.lookup(outer, u32(1), -ENOENT);
  },

  "an fd that is none, or of a map that does not fit": (t) => refusesFds(t, base),

  "what an fd may": (t) => modesOfFds(t, base),

  "indices out of range": (t) => {
    const outer = t.create({ ...base, inner_map_fd: t.create(inner) });
    for (const index of beyond) {
      t.lookup(outer, u32(index), -ENOENT);
      t.delete(outer, u32(index), -E2BIG);
      t.next(outer, u32(index), u32(0));
    }
    t.next(outer, undefined, u32(0));
    t.next(outer, u32(2), u32(3));
    t.next(outer, u32(3), -ENOENT);
  },

  "an inner map stays when its fd is closed": (t) => keepsInnerMaps(t, base),
};
