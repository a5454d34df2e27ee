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
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_UPDATE_BATCH,
  BPF_NOEXIST,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOTSUPP,
  bpfAttr,
} from "tsbpf/uapi";
import { KEYS, NEXT, OUT, VALUE } from "../machine/arena.js";
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

  "an update of many ends with the first that is refused": (t) => {
    updatesBatches(t, base);
    const one = t.create(inner);
    const outer = t.create({ ...base, inner_map_fd: one });
    batch(t, BPF_MAP_UPDATE_BATCH, outer, [3, 4, 0], [one, one, one], -E2BIG, 1);
    t.holds(outer, ["03000000=3"]);
  },

  "a lookup of many leaves empty elems out; its cursor is the last key that it has seen": (t) => {
    const one = t.create(inner);
    const outer = t.create({ ...base, max_entries: 9, inner_map_fd: one });
    const cursor = (wanted: number): void => t.equal("The cursor", t.bytesAt(OUT, 4), u32(wanted));
    const look = (room: number, from: number | undefined, wanted: number, keys: number[], fields = {}): void => {
      const into = from === undefined ? {} : { in_batch: { to: NEXT } };
      const all = { map_fd: outer, out_batch: { to: OUT }, keys: { to: KEYS }, values: { to: VALUE }, count: room };
      t.command(BPF_MAP_LOOKUP_BATCH, "batch", { ...all, ...into, ...fields }, wanted, {
        data: [
          [OUT, u32(77)],
          [NEXT, u32(from ?? 0)],
        ],
      });
      for (const [i, key] of keys.entries()) t.equal("The key", t.bytesAt(KEYS + 4 * i, 4), u32(key));
      t.equal("count", t.bytesAt(bpfAttr.batch.count.off, 4), u32(wanted === -EFAULT ? 0 : keys.length));
    };
    look(4, undefined, -ENOENT, []);
    cursor(77);
    for (const index of [1, 2, 5, 6]) t.update(outer, u32(index), one);
    look(2, undefined, 0, [1, 2]);
    cursor(2);
    look(1, 2, 0, [5]);
    cursor(5);
    look(2, 5, -ENOENT, [6]);
    cursor(8);
    look(1, 6, -ENOENT, []);
    cursor(77);
    look(4, undefined, 0, [1, 2, 5, 6]);
    look(5, undefined, -ENOENT, [1, 2, 5, 6]);
    cursor(8);
    // Behind the last, and out of range: from the start.
    look(5, 8, -ENOENT, []);
    look(5, 9, -ENOENT, [1, 2, 5, 6]);
    look(5, 2 ** 32 - 1, -ENOENT, [1, 2, 5, 6]);
    look(0, undefined, 0, []);
    look(2, undefined, -EFAULT, [], { values: 8 });
    look(2, undefined, -EFAULT, [], { keys: 8 });
    look(2, undefined, -EFAULT, [], { in_batch: 8 });
  },

  "nothing is deleted in batches": (t) => {
    const one = t.create(inner);
    const outer = t.create({ ...base, inner_map_fd: one });
    t.update(outer, u32(1), one);
    for (const cmd of [BPF_MAP_DELETE_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH]) {
      for (const elem_flags of [0, 1]) batch(t, cmd, outer, [1], [], -ENOTSUPP, 1, { elem_flags });
    }
  },

  "elems are not taken one by one": (t) => takesNoElems(t, base),

  "maps for one program alone do not go in": (t) => refusesExclusiveMaps(t, base),

  "frozen, it takes no maps": (t) => freezesOuter(t, base),
};
