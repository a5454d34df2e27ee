/**
 * BPF_MAP_TYPE_LRU_PERCPU_HASH: values have a slot for each possible CPU, value_size rounded up to 8.
 */
import {
  BPF_EXIST,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NUMA_NODE,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
} from "tsbpf/uapi";
import { deletesWhileWalking, elemText, holdsKeysOfEachSize, walksKeys } from "./_hash_family.js";
import { holdsHalf, neverFull, refusesFlags, roundsUp } from "./lru_hash.js";
import { type Story, type Teller, run, u32 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_LRU_PERCPU_HASH, key_size: 4, value_size: 8, max_entries: 4 };

/** Slots of 8 bytes, each with bytes of its own. */
function slots(t: Teller): (i: number) => Uint8Array {
  return (i) => run(8 * t.possibleCpus, i);
}

export const lruPercpuHash: Story = {
  "sizes of 0 are EINVAL": (t) => {
    for (const wrong of [{ key_size: 0 }, { value_size: 0 }, { max_entries: 0 }])
      t.refuses(-EINVAL, { ...base, ...wrong });
  },

  "a slot has at most 32768 bytes: else E2BIG": (t) => {
    for (const value_size of [32761, 32768]) t.close(t.create({ ...base, max_entries: 1, value_size }));
    for (const value_size of [32769, 32776, 65536, 4194252, 2 ** 31, 2 ** 32 - 1])
      t.refuses(-E2BIG, { ...base, max_entries: 1, value_size });
    t.refuses(-E2BIG, { ...base, max_entries: 1, key_size: 4194252 });
  },

  "more than 2^27 elems are E2BIG": (t) => {
    for (const max_entries of [2 ** 27 + 1, 2 ** 31, 2 ** 32 - 1]) t.refuses(-E2BIG, { ...base, max_entries });
  },

  "is preallocated: BPF_F_NO_PREALLOC is 524": (t) => {
    refusesFlags(t, base);
    t.refuses(-EINVAL, { ...base, map_flags: BPF_F_NUMA_NODE });
  },

  "with BPF_F_NO_COMMON_LRU max_entries is a multiple of the possible CPUs": (t) => roundsUp(t, base),

  "an update writes the slots of all CPUs, a lookup reads them": (t) => {
    for (const map_flags of [0, BPF_F_NO_COMMON_LRU]) {
      const fd = t.create({ ...base, max_entries: 16, map_flags });
      const value = slots(t);
      t.lookup(fd, u32(1), -ENOENT);
      t.update(fd, u32(1), value(1));
      t.update(fd, u32(2), value(2));
      t.lookup(fd, u32(1), value(1));
      t.update(fd, u32(1), value(3));
      t.holds(fd, [elemText(u32(1), value(3)), elemText(u32(2), value(2))]);
      t.delete(fd, u32(1));
      t.lookup(fd, u32(1), -ENOENT);
      t.delete(fd, u32(1), -ENOENT);
    }
  },

  "padding between slots is stored, and read back": (t) => {
    for (const value_size of [1, 3, 4, 5, 7, 8, 9, 12, 17, 100, 1001]) {
      const fd = t.create({ ...base, value_size });
      const bytes = Math.ceil(value_size / 8) * 8 * t.possibleCpus;
      t.update(fd, u32(1), run(bytes, 3));
      t.lookup(fd, u32(1), run(bytes, 3));
      t.update(fd, u32(1), run(bytes, 4), BPF_EXIST);
      t.lookup(fd, u32(1), run(bytes, 4));
      t.close(fd);
    }
  },

  "a slot that is used again holds nothing of the old elem": (t) => {
    const fd = t.create({ ...base, max_entries: 1 });
    for (let i = 0; i < 9; i++) t.update(fd, u32(i), slots(t)(i));
    t.update(fd, u32(9), new Uint8Array(8 * t.possibleCpus));
    t.lookup(fd, u32(9), new Uint8Array(8 * t.possibleCpus));
  },

  "BPF_NOEXIST and BPF_EXIST": (t) => {
    const fd = t.create(base);
    const value = slots(t);
    t.update(fd, u32(1), value(1), BPF_EXIST, -ENOENT);
    t.update(fd, u32(1), value(2), BPF_NOEXIST);
    t.update(fd, u32(1), value(3), BPF_NOEXIST, -EEXIST);
    t.update(fd, u32(1), value(4), BPF_EXIST);
    t.lookup(fd, u32(1), value(4));
  },

  "an update never fails for lack of room": (t) => neverFull(t, base, slots(t)),

  "half of max_entries stays": (t) => holdsHalf(t, base, slots(t)),

  "keys of each size, and all their bytes count": (t) => holdsKeysOfEachSize(t, base, slots(t)),

  "BPF_MAP_GET_NEXT_KEY leads to every key once": (t) => walksKeys(t, base, slots(t), 2),

  "deleting while walking": (t) => deletesWhileWalking(t, base, slots(t), 2),
};
