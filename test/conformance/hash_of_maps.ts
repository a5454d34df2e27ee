/**
 * BPF_MAP_TYPE_HASH_OF_MAPS.
 */
import {
  BPF_EXIST,
  BPF_F_INNER_MAP,
  BPF_F_LOCK,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_NOEXIST,
  E2BIG,
  EBADF,
  EEXIST,
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

const base = { map_type: BPF_MAP_TYPE_HASH_OF_MAPS, key_size: 4, value_size: 4, max_entries: 4 };
const noFd = u32(0x7ffffff0);

export const hashOfMaps: Story = {
  "sizes and flags": (t) => {
    const one = t.create(inner);
    for (const wrong of [{ key_size: 0 }, { value_size: 8 }, { value_size: 0 }, { max_entries: 0 }]) {
      t.refuses(-EINVAL, { ...base, inner_map_fd: one, ...wrong });
    }
    for (const map_flags of [BPF_F_MMAPABLE, BPF_F_INNER_MAP, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG]) {
      t.refuses(-EINVAL, { ...base, inner_map_fd: one, map_flags });
    }
    for (const map_flags of [BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG]) {
      t.create({ ...base, inner_map_fd: one, map_flags });
    }
    // The template before what a hash cannot hold.
    t.refuses(-EBADF, { ...base, inner_map_fd: 0x7ffffff0, max_entries: 2 ** 31 });
    t.refuses(-E2BIG, { ...base, inner_map_fd: one, max_entries: 2 ** 31 });
    t.refuses(-E2BIG, { ...base, inner_map_fd: 0x7ffffff0, key_size: 2 ** 31 });
  },

  "a template is a map, and no map of maps, nor one of programs": (t) => refusesTemplates(t, base),

  "inner maps are like the template; only plain arrays must be as long": (t) => templatesMatch(t, base),

  "holds maps: a value is an fd on the way in, an id on the way out": (t) => holdsMaps(t, base),

  "an update: the fd before the flags": (t) => {
    const one = t.create(inner);
    const outer = t.create({ ...base, inner_map_fd: one });
    for (const flags of [3, 8, 2n ** 32n]) {
      t.update(outer, u32(1), one, flags, -EINVAL);
      t.update(outer, u32(1), noFd, flags, -EBADF);
    }
    t.update(outer, u32(1), one, BPF_F_LOCK, -EINVAL);
    t.update(outer, u32(1), noFd, BPF_F_LOCK, -EINVAL);
    t.update(outer, u32(1), one, BPF_EXIST, -ENOENT);
    t.update(outer, u32(1), one, BPF_NOEXIST);
    t.update(outer, u32(1), one, BPF_NOEXIST, -EEXIST);
    t.update(outer, u32(1), one, BPF_EXIST);
    t.holds(outer, ["01000000=0"]);
  },

  "holds exactly max_entries": (t) => {
    const one = t.create(inner);
    for (const map_flags of [0, BPF_F_NO_PREALLOC]) {
      const outer = t.create({ ...base, inner_map_fd: one, map_flags });
      for (let i = 0; i < 4; i++) t.update(outer, u32(i), one);
      t.update(outer, u32(4), one, 0, -E2BIG);
      t.update(outer, u32(0), one);
      t.delete(outer, u32(0));
      t.update(outer, u32(4), one);
      t.close(outer);
    }
  },

  "keys of each size": (t) => {
    const one = t.create(inner);
    for (const key_size of [1, 4, 7, 8, 16, 20, 100, 600]) {
      const outer = t.create({ ...base, inner_map_fd: one, key_size });
      const key = new Uint8Array(key_size).fill(3);
      t.update(outer, key, one);
      t.lookup(outer, key, u32(0));
      t.lookup(outer, new Uint8Array(key_size), -ENOENT);
      t.delete(outer, key);
      t.close(outer);
    }
  },

  "an fd that is none, or of a map that does not fit": (t) => refusesFds(t, base),

  "what an fd may": (t) => modesOfFds(t, base),

  "an inner map stays when its fd is closed": (t) => keepsInnerMaps(t, base),
};
