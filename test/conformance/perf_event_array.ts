/**
 * BPF_MAP_TYPE_PERF_EVENT_ARRAY, without anything in it: what an elem is, is the kernel's. With elems: test/maps/perf_event_array.test.ts.
 */
import {
  BPF_EXIST,
  BPF_F_INNER_MAP,
  BPF_F_LOCK,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_FREEZE,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_NOEXIST,
  E2BIG,
  EBADF,
  EINVAL,
  ENOENT,
  ENOTSUPP,
  EPERM,
} from "tsbpf/uapi";
import { hasNoBatches } from "./_no_batches.js";
import { type Story, u32 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_PERF_EVENT_ARRAY, key_size: 4, value_size: 4, max_entries: 2 };
const noFd = u32(0x7ffffff0);

export const perfEventArray: Story = {
  "sizes and flags": (t) => {
    for (const wrong of [{ key_size: 8 }, { key_size: 0 }, { value_size: 8 }, { value_size: 0 }, { max_entries: 0 }]) {
      t.refuses(-EINVAL, { ...base, ...wrong });
    }
    const flags = [BPF_F_NO_PREALLOC, BPF_F_MMAPABLE, BPF_F_INNER_MAP, BPF_F_ZERO_SEED];
    for (const map_flags of [...flags, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG]) {
      t.refuses(-EINVAL, { ...base, map_flags });
      t.refuses(-EINVAL, { ...base, map_flags: map_flags | BPF_F_PRESERVE_ELEMS });
    }
    t.create({ ...base, map_flags: BPF_F_NUMA_NODE });
    t.create({ ...base, map_flags: BPF_F_PRESERVE_ELEMS });
  },

  "an update: flags, the index, the fd": (t) => {
    for (const map_flags of [0, BPF_F_PRESERVE_ELEMS]) {
      const fd = t.create({ ...base, map_flags });
      for (const flags of [BPF_NOEXIST, BPF_EXIST, 3, BPF_F_LOCK, 2n ** 32n]) {
        t.update(fd, u32(9), noFd, flags, -EINVAL);
      }
      for (const index of [2, 3, 2 ** 31, 2 ** 32 - 1]) t.update(fd, u32(index), noFd, 0, -E2BIG);
      t.update(fd, u32(1), noFd, 0, -EBADF);
      t.update(fd, u32(1), u32(2 ** 32 - 1), 0, -EBADF);
      t.update(fd, u32(1), u32(0), 0, -EBADF);
      t.update(fd, u32(1), fd, 0, -EBADF);
    }
  },

  "no elem is looked up, and every index is a key": (t) => {
    const fd = t.create(base);
    for (const index of [0, 1, 2, 2 ** 32 - 1]) {
      t.lookup(fd, u32(index), -ENOTSUPP);
      t.lookup(fd, u32(index), -EINVAL, BPF_F_LOCK);
    }
    for (const index of [0, 1]) t.delete(fd, u32(index), -ENOENT);
    for (const index of [2, 2 ** 32 - 1]) t.delete(fd, u32(index), -E2BIG);
    t.next(fd, undefined, u32(0));
    t.next(fd, u32(0), u32(1));
    t.next(fd, u32(1), -ENOENT);
    t.next(fd, u32(2), u32(0));
  },

  "it has no batches, and no LOOKUP_AND_DELETE": (t) => {
    hasNoBatches(t, t.create(base));
  },

  "it goes into maps of maps": (t) => {
    const inner = t.create(base);
    const shape = { map_type: BPF_MAP_TYPE_ARRAY_OF_MAPS, key_size: 4, value_size: 4, max_entries: 2 };
    const outer = t.create({ ...shape, inner_map_fd: inner });
    t.update(outer, u32(1), inner);
    t.update(outer, u32(1), t.create({ ...base, map_flags: BPF_F_PRESERVE_ELEMS }), 0, -EINVAL);
  },

  "frozen, it takes nothing": (t) => {
    const fd = t.create(base);
    t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: fd }, 0);
    t.update(fd, u32(1), noFd, 0, -EPERM);
    t.delete(fd, u32(1), -EPERM);
  },
};
