/**
 * BPF_MAP_TYPE_HASH.
 */
import {
  BPF_EXIST,
  BPF_F_NO_PREALLOC,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE_HASH,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
} from "tsbpf/uapi";
import { deletesWhileWalking, fillsUp, holdsKeysOfEachSize, walksKeys } from "./_hash_family.js";
import { type Story, run, u32, u64 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 4 };

export const hash: Story = {
  "sizes of 0 are EINVAL": (t) => {
    for (const wrong of [{ key_size: 0 }, { value_size: 0 }, { max_entries: 0 }]) {
      t.refuses(-EINVAL, { ...base, ...wrong });
      t.refuses(-EINVAL, { ...base, value_size: 2 ** 32 - 1, ...wrong });
    }
  },

  "key and value together stay below what one kmalloc gives: else E2BIG": (t) => {
    const one = { ...base, max_entries: 1, map_flags: BPF_F_NO_PREALLOC };
    t.close(t.create({ ...one, value_size: 4194251 }));
    t.close(t.create({ ...one, value_size: 4194247, key_size: 8 }));
    t.refuses(-E2BIG, { ...one, value_size: 4194252 });
    t.refuses(-E2BIG, { ...one, value_size: 4194248, key_size: 8 });
    t.refuses(-E2BIG, { ...one, key_size: 2 ** 31 });
    t.refuses(-E2BIG, { ...one, key_size: 2 ** 32 - 1, value_size: 2 ** 32 - 1 });
  },

  "more than 2^27 elems are E2BIG": (t) => {
    for (const max_entries of [2 ** 27 + 1, 2 ** 30, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1]) {
      t.refuses(-E2BIG, { ...base, max_entries });
      t.refuses(-E2BIG, { ...base, max_entries, map_flags: BPF_F_NO_PREALLOC });
    }
  },

  "updates, lookups and deletes": (t) => {
    for (const map_flags of [0, BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED]) {
      const fd = t.create({ ...base, map_flags });
      t.lookup(fd, u32(1), -ENOENT);
      t.update(fd, u32(1), u64(10));
      t.lookup(fd, u32(1), u64(10));
      t.update(fd, u32(1), u64(11));
      t.lookup(fd, u32(1), u64(11));
      t.update(fd, u32(0), u64(12));
      t.holds(fd, ["00000000=0c00000000000000", "01000000=0b00000000000000"]);
      t.delete(fd, u32(1));
      t.lookup(fd, u32(1), -ENOENT);
      t.delete(fd, u32(1), -ENOENT);
      t.holds(fd, ["00000000=0c00000000000000"]);
    }
  },

  "BPF_NOEXIST and BPF_EXIST": (t) => {
    const fd = t.create(base);
    t.update(fd, u32(1), u64(1), BPF_EXIST, -ENOENT);
    t.update(fd, u32(1), u64(2), BPF_NOEXIST);
    t.update(fd, u32(1), u64(3), BPF_NOEXIST, -EEXIST);
    t.lookup(fd, u32(1), u64(2));
    t.update(fd, u32(1), u64(4), BPF_EXIST);
    t.lookup(fd, u32(1), u64(4));
    t.holds(fd, ["01000000=0400000000000000"]);
  },

  "holds exactly max_entries": (t) => fillsUp(t, base, (i) => u64(i)),

  "keys of each size, and all their bytes count": (t) => holdsKeysOfEachSize(t, base, (i) => u64(i)),

  "values of each size, and nothing beside them": (t) => {
    for (const value_size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 63, 64, 65, 100, 1000, 4000]) {
      const fd = t.create({ ...base, value_size });
      t.update(fd, u32(1), run(value_size, 7));
      t.update(fd, u32(2), run(value_size, 8));
      t.lookup(fd, u32(1), run(value_size, 7));
      t.update(fd, u32(1), run(value_size, 9));
      t.lookup(fd, u32(1), run(value_size, 9));
      t.lookup(fd, u32(2), run(value_size, 8));
      t.close(fd);
    }
  },

  "BPF_MAP_GET_NEXT_KEY leads to every key once": (t) => walksKeys(t, base, (i) => u64(i)),

  "deleting while walking": (t) => deletesWhileWalking(t, base, (i) => u64(i)),
};
