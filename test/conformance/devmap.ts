/**
 * BPF_MAP_TYPE_DEVMAP and BPF_MAP_TYPE_DEVMAP_HASH: with the device that every kernel has, lo; without programs.
 */
import {
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_FREEZE,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_NOEXIST,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  EPERM,
} from "tsbpf/uapi";
import { hasNoBatches } from "./_no_batches.js";
import { type Story, type Teller, u32 } from "./story.js";

const LO = 1;
/** No machine has so many. */
const NO_DEVICE = 0x7ffffff0;

const value = (ifindex: number, progFd = 0): Uint8Array => new Uint8Array([...u32(ifindex), ...u32(progFd)]);

function createsOnly(t: Teller, base: object): void {
  for (const wrong of [{ key_size: 8 }, { key_size: 0 }, { value_size: 0 }, { value_size: 2 }, { value_size: 12 }]) {
    t.refuses(-EINVAL, { ...base, ...wrong });
  }
  t.refuses(-EINVAL, { ...base, max_entries: 0 });
  for (const map_flags of [BPF_F_NO_PREALLOC, BPF_F_MMAPABLE, BPF_F_ZERO_SEED, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG]) {
    t.refuses(-EINVAL, { ...base, map_flags });
  }
  for (const map_flags of [BPF_F_NUMA_NODE, BPF_F_RDONLY, BPF_F_WRONLY]) {
    for (const value_size of [4, 8]) t.create({ ...base, map_flags, value_size });
  }
  t.refuses(-EINVAL, { ...base, map_flags: BPF_F_RDONLY | BPF_F_WRONLY });
}

function refusesPrograms(t: Teller, base: object): void {
  const fd = t.create({ ...base, value_size: 8 });
  // Any fd that is no program's, and a device that is not there.
  for (const progFd of [1, NO_DEVICE]) t.update(fd, u32(1), value(LO, progFd), 0, -EINVAL);
  t.update(fd, u32(1), value(NO_DEVICE), 0, -EINVAL);
  // An fd of 0 or less is none.
  t.update(fd, u32(1), value(LO, 2 ** 32 - 1));
  t.lookup(fd, u32(1), value(LO));
  t.update(fd, u32(1), value(0, 1), 0, -EINVAL);
  t.lookup(fd, u32(1), value(LO));
}

function freezes(t: Teller, base: object): void {
  const fd = t.create({ ...base });
  t.update(fd, u32(1), u32(LO));
  t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: fd }, 0);
  t.update(fd, u32(1), u32(LO), 0, -EPERM);
  t.delete(fd, u32(1), -EPERM);
  t.lookup(fd, u32(1), u32(LO));
}

function isInner(t: Teller, base: object): void {
  const inner = t.create({ ...base });
  const shape = { map_type: BPF_MAP_TYPE_ARRAY_OF_MAPS, key_size: 4, value_size: 4, max_entries: 2 };
  const outer = t.create({ ...shape, inner_map_fd: inner });
  t.update(outer, u32(1), inner);
  t.update(outer, u32(1), t.create({ ...base, value_size: 8 }), 0, -EINVAL);
}

const array = { map_type: BPF_MAP_TYPE_DEVMAP, key_size: 4, value_size: 4, max_entries: 3 };

export const devmap: Story = {
  "sizes and flags": (t) => createsOnly(t, array),

  "an update: flags, the index, the mode, the device": (t) => {
    const fd = t.create(array);
    for (const flags of [3, BPF_F_LOCK, 8, 2n ** 32n]) t.update(fd, u32(9), u32(NO_DEVICE), flags, -EINVAL);
    for (const index of [3, 4, 2 ** 31, 2 ** 32 - 1]) t.update(fd, u32(index), u32(NO_DEVICE), BPF_NOEXIST, -E2BIG);
    for (const device of [LO, NO_DEVICE, 0]) t.update(fd, u32(1), u32(device), BPF_NOEXIST, -EEXIST);
    for (const flags of [0, BPF_EXIST]) {
      t.update(fd, u32(1), u32(NO_DEVICE), flags, -EINVAL);
      t.update(fd, u32(1), u32(2 ** 32 - 1), flags, -EINVAL);
      t.update(fd, u32(1), u32(LO), flags);
      t.lookup(fd, u32(1), u32(LO));
    }
  },

  "elems are empty at first, and again after an update to none, or a delete": (t) => {
    const fd = t.create(array);
    for (const index of [0, 2, 3, 2 ** 32 - 1]) t.lookup(fd, u32(index), -ENOENT);
    for (const index of [0, 2]) t.update(fd, u32(index), u32(LO));
    t.lookup(fd, u32(0), u32(LO));
    t.lookup(fd, u32(1), -ENOENT);
    t.lookup(fd, u32(0), -EINVAL, BPF_F_LOCK);
    t.update(fd, u32(0), u32(0));
    t.lookup(fd, u32(0), -ENOENT);
    for (const _ of [1, 2]) t.delete(fd, u32(2), 0);
    t.lookup(fd, u32(2), -ENOENT);
    for (const index of [3, 2 ** 32 - 1]) t.delete(fd, u32(index), -EINVAL);
  },

  "every index is a key": (t) => {
    const fd = t.create(array);
    t.next(fd, undefined, u32(0));
    t.next(fd, u32(0), u32(1));
    t.next(fd, u32(2), -ENOENT);
    t.next(fd, u32(3), u32(0));
  },

  "programs: none of these fds is one's": (t) => refusesPrograms(t, array),

  "it has no batches, and no LOOKUP_AND_DELETE": (t) => hasNoBatches(t, t.create(array)),

  "it goes into maps of maps": (t) => isInner(t, array),

  "frozen, it is only read": (t) => freezes(t, array),
};

const hash = { map_type: BPF_MAP_TYPE_DEVMAP_HASH, key_size: 4, value_size: 4, max_entries: 3 };

export const devmapHash: Story = {
  "sizes and flags": (t) => {
    createsOnly(t, hash);
    for (const max_entries of [2 ** 31 + 1, 2 ** 32 - 1]) t.refuses(-EINVAL, { ...hash, max_entries });
  },

  "an update: flags and that there is a device, the mode, the device": (t) => {
    const fd = t.create(hash);
    for (const flags of [3, BPF_F_LOCK, 8, 2n ** 32n]) t.update(fd, u32(9), u32(NO_DEVICE), flags, -EINVAL);
    for (const flags of [0, BPF_NOEXIST, BPF_EXIST]) t.update(fd, u32(9), u32(0), flags, -EINVAL);
    t.update(fd, u32(9), u32(NO_DEVICE), BPF_NOEXIST, -EINVAL);
    t.update(fd, u32(9), u32(LO), BPF_NOEXIST);
    for (const device of [LO, NO_DEVICE]) t.update(fd, u32(9), u32(device), BPF_NOEXIST, -EEXIST);
    t.update(fd, u32(9), u32(NO_DEVICE), 0, -EINVAL);
    t.update(fd, u32(9), u32(LO), BPF_EXIST);
    // What is not there is put there all the same.
    t.update(fd, u32(2 ** 32 - 1), u32(LO), BPF_EXIST);
    for (const key of [9, 2 ** 32 - 1]) t.lookup(fd, u32(key), u32(LO));
  },

  "full it takes no more keys": (t) => {
    const fd = t.create(hash);
    for (const key of [5, 6, 7]) t.update(fd, u32(key), u32(LO));
    t.update(fd, u32(8), u32(LO), 0, -E2BIG);
    t.update(fd, u32(8), u32(NO_DEVICE), 0, -EINVAL);
    t.update(fd, u32(7), u32(LO));
    t.delete(fd, u32(5), 0);
    t.delete(fd, u32(5), -ENOENT);
    t.lookup(fd, u32(5), -ENOENT);
    t.update(fd, u32(8), u32(LO));
    for (const key of [6, 7, 8]) t.lookup(fd, u32(key), u32(LO));
  },

  "programs: none of these fds is one's": (t) => {
    refusesPrograms(t, hash);
    const fd = t.create({ ...hash, value_size: 8 });
    t.next(fd, undefined, -ENOENT);
    t.update(fd, u32(4), value(LO));
    t.lookup(fd, u32(4), value(LO));
  },

  "it has no batches, and no LOOKUP_AND_DELETE": (t) => hasNoBatches(t, t.create(hash)),

  "it goes into maps of maps": (t) => isInner(t, hash),

  "frozen, it is only read": (t) => freezes(t, hash),
};
