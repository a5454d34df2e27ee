/**
 * BPF_MAP_TYPE_LRU_HASH, and what BPF_MAP_TYPE_LRU_PERCPU_HASH has in common with it. Which elem goes when there is no room is each
 * kernel's own affair: so no rule asks for it.
 */
import {
  BPF_EXIST,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOTSUPP,
} from "tsbpf/uapi";
import { deletesWhileWalking, elemText, holdsKeysOfEachSize, walksKeys } from "./_hash_family.js";
import { type Fields, type Story, type Teller, run, u32, u64 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_LRU_HASH, key_size: 4, value_size: 8, max_entries: 4 };

type ValueOf = (i: number) => Uint8Array;

/** Linux's lists have some room to spare: with half of max_entries there is no list without a free elem. */
const HALF = 64;

export function refusesFlags(t: Teller, fields: Fields): void {
  t.refuses(-ENOTSUPP, { ...fields, map_flags: BPF_F_NO_PREALLOC });
  // After the flags that are none, before the sizes.
  t.refuses(-EINVAL, { ...fields, map_flags: BPF_F_NO_PREALLOC | BPF_F_MMAPABLE });
  t.refuses(-ENOTSUPP, { ...fields, map_flags: BPF_F_NO_PREALLOC, key_size: 0 });
  t.refuses(-ENOTSUPP, { ...fields, map_flags: BPF_F_NO_PREALLOC, value_size: 2 ** 31 });
  t.refuses(-EINVAL, { ...fields, map_flags: BPF_F_NUMA_NODE | BPF_F_NO_COMMON_LRU });
  t.refuses(-ENOTSUPP, { ...fields, map_flags: BPF_F_NUMA_NODE | BPF_F_NO_COMMON_LRU | BPF_F_NO_PREALLOC });
  t.create({ ...fields, map_flags: BPF_F_ZERO_SEED | BPF_F_NO_COMMON_LRU | BPF_F_RDONLY_PROG });
  for (const map_type of [BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH]) {
    t.refuses(-EINVAL, { ...fields, map_type, map_flags: BPF_F_NO_COMMON_LRU });
    t.refuses(-EINVAL, { ...fields, map_type, map_flags: BPF_F_NO_COMMON_LRU | BPF_F_NO_PREALLOC });
  }
}

export function roundsUp(t: Teller, fields: Fields): void {
  const cpus = t.possibleCpus;
  for (const max_entries of [1, 2, 3, 5, 8, 1001]) {
    const fd = t.create({ ...fields, max_entries, map_flags: BPF_F_NO_COMMON_LRU });
    t.info(fd, { max_entries: Math.ceil(max_entries / cpus) * cpus, map_flags: BPF_F_NO_COMMON_LRU });
    t.close(fd);
    const common = t.create({ ...fields, max_entries });
    t.info(common, { max_entries, map_flags: 0 });
    t.close(common);
  }
}

export function neverFull(t: Teller, fields: Fields, value: ValueOf): void {
  for (const map_flags of [0, BPF_F_NO_COMMON_LRU, BPF_F_ZERO_SEED]) {
    for (const max_entries of [1, 2, 3, 5, 17, 150]) {
      const fd = t.create({ ...fields, max_entries, map_flags });
      for (let i = 0; i < 2 * max_entries + 8; i++) {
        t.update(fd, u32(i), value(i % 100), i % 3 === 0 ? BPF_NOEXIST : 0);
        // What was just set is there, and is what was set.
        t.lookup(fd, u32(i), value(i % 100));
        // Linux makes room for this one, too.
        if (i % 5 === 4) t.update(fd, u32(100_000 + i), value(1), BPF_EXIST, -ENOENT);
      }
      const last = 2 * max_entries + 8;
      t.update(fd, u32(last), value(4));
      t.delete(fd, u32(last));
      t.delete(fd, u32(last), -ENOENT);
      t.update(fd, u32(last), value(5), BPF_NOEXIST);
      t.lookup(fd, u32(last), value(5));
      t.close(fd);
    }
  }
}

export function holdsHalf(t: Teller, fields: Fields, value: ValueOf): void {
  const fd = t.create({ ...fields, max_entries: HALF });
  for (let i = 0; i < HALF / 2; i++) t.update(fd, u32(i), value(i));
  for (let i = 0; i < HALF / 2; i += 2) t.delete(fd, u32(i));
  for (let i = 1; i < HALF / 2; i += 2) t.update(fd, u32(i), value(i + 40));
  const elems: string[] = [];
  for (let i = 1; i < HALF / 2; i += 2) elems.push(elemText(u32(i), value(i + 40)));
  t.holds(fd, elems);
}

export const lruHash: Story = {
  "sizes of 0 are EINVAL": (t) => {
    for (const wrong of [{ key_size: 0 }, { value_size: 0 }, { max_entries: 0 }]) {
      t.refuses(-EINVAL, { ...base, ...wrong });
      t.refuses(-EINVAL, { ...base, map_flags: BPF_F_NO_COMMON_LRU, ...wrong });
    }
  },

  "key and value together stay below what one kmalloc gives: else E2BIG": (t) => {
    t.refuses(-E2BIG, { ...base, max_entries: 1, value_size: 4194252 });
    t.refuses(-E2BIG, { ...base, max_entries: 1, value_size: 4194248, key_size: 8 });
    t.refuses(-E2BIG, { ...base, max_entries: 1, key_size: 2 ** 32 - 1, value_size: 2 ** 32 - 1 });
  },

  "more than 2^27 elems are E2BIG": (t) => {
    for (const max_entries of [2 ** 27 + 1, 2 ** 30, 2 ** 31, 2 ** 32 - 1]) {
      t.refuses(-E2BIG, { ...base, max_entries });
      t.refuses(-E2BIG, { ...base, max_entries, map_flags: BPF_F_NO_COMMON_LRU });
    }
  },

  "is preallocated: BPF_F_NO_PREALLOC is 524": (t) => {
    refusesFlags(t, base);
    t.create({ ...base, map_flags: BPF_F_NUMA_NODE });
  },

  "with BPF_F_NO_COMMON_LRU max_entries is a multiple of the possible CPUs": (t) => roundsUp(t, base),

  "updates, lookups and deletes": (t) => {
    for (const map_flags of [0, BPF_F_NO_COMMON_LRU, BPF_F_ZERO_SEED]) {
      const fd = t.create({ ...base, max_entries: 16, map_flags });
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

  "an update never fails for lack of room": (t) => neverFull(t, base, (i) => u64(i)),

  "half of max_entries stays": (t) => holdsHalf(t, base, (i) => u64(i)),

  "keys of each size, and all their bytes count": (t) => holdsKeysOfEachSize(t, base, (i) => u64(i)),

  "values of each size, and nothing beside them": (t) => {
    for (const value_size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 63, 64, 65, 100, 1000, 4000]) {
      const fd = t.create({ ...base, max_entries: 16, value_size });
      t.update(fd, u32(1), run(value_size, 7));
      t.update(fd, u32(2), run(value_size, 8));
      t.lookup(fd, u32(1), run(value_size, 7));
      t.update(fd, u32(1), run(value_size, 9));
      t.lookup(fd, u32(1), run(value_size, 9));
      t.lookup(fd, u32(2), run(value_size, 8));
      t.close(fd);
    }
  },

  "BPF_MAP_GET_NEXT_KEY leads to every key once": (t) => walksKeys(t, base, (i) => u64(i), 2),

  "deleting while walking": (t) => deletesWhileWalking(t, base, (i) => u64(i), 2),
};
