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
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_UPDATE_BATCH,
  BPF_NOEXIST,
  E2BIG,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
} from "tsbpf/uapi";
import { KEYS, VALUE } from "../machine/arena.js";
import {
  batch,
  freezesOuter,
  holdsMaps,
  inner,
  keepsInnerMaps,
  modesOfFds,
  refusesExclusiveMaps,
  refusesFds,
  refusesTemplates,
  takesNoElems,
  templatesMatch,
  updatesBatches,
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

  "an update of many ends with the first that is refused": (t) => {
    updatesBatches(t, base);
    const one = t.create(inner);
    const outer = t.create({ ...base, inner_map_fd: one });
    batch(t, BPF_MAP_UPDATE_BATCH, outer, [1, 2, 3, 4, 5], [one, one, one, one, one], -E2BIG, 4);
  },

  "a deletion of many ends with the first that is missing": (t) => {
    const one = t.create(inner);
    const outer = t.create({ ...base, inner_map_fd: one });
    for (const key of [1, 2, 3]) t.update(outer, u32(key), one);
    batch(t, BPF_MAP_DELETE_BATCH, outer, [1], [], -EINVAL, 1, { elem_flags: 1 });
    batch(t, BPF_MAP_DELETE_BATCH, outer, [1, 9, 2], [], -ENOENT, 1);
    t.holds(outer, ["02000000=0", "03000000=0"]);
    batch(t, BPF_MAP_DELETE_BATCH, outer, [2, 3], [], 0, 2);
    t.holds(outer, []);
  },

  "LOOKUP_AND_DELETE delivers ids, and lets the maps go": (t) => {
    const one = t.create(inner);
    const outer = t.create({ ...base, inner_map_fd: one });
    batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, outer, [9, 9], [], -ENOENT, 0);
    batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, outer, [9, 9], [], -EINVAL, 2, { elem_flags: 1 });
    batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, outer, [9, 9], [], -EINVAL, 2, { flags: 1 });
    const second = t.create(inner);
    t.update(outer, u32(1), one);
    t.update(outer, u32(2), second);
    t.close(second);
    batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, outer, [9, 9, 9, 9, 9], [], -ENOENT, 2);
    for (let i = 0; i < 2; i++) {
      const key = t.bytesAt(KEYS + 4 * i, 4);
      t.equal("The inner map", t.bytesAt(VALUE + 4 * i, 4), key[0] === 1 ? u32(0) : u32(2));
    }
    t.holds(outer, []);
    t.opens(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: one.fd } });
    for (const key of [1, 2]) t.update(outer, u32(key), one);
    batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, outer, [9, 9, 9, 9, 9], [], -EFAULT, 0, { out_batch: 0 });
    t.holds(outer, []);
  },

  "elems are not taken one by one": (t) => takesNoElems(t, base),

  "maps for one program alone do not go in": (t) => refusesExclusiveMaps(t, base),

  "frozen, it takes no maps": (t) => freezesOuter(t, base),
};
