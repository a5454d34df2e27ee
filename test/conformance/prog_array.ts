/**
 * BPF_MAP_TYPE_PROG_ARRAY, without programs.
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
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_NOEXIST,
  E2BIG,
  EBADF,
  EINVAL,
  ENOENT,
} from "tsbpf/uapi";
import { hasNoBatches } from "./_no_batches.js";
import { type Story, u32 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_PROG_ARRAY, key_size: 4, value_size: 4, max_entries: 2 };
const noFd = u32(0x7ffffff0);

export const progArray: Story = {
  "sizes and flags": (t) => {
    for (const wrong of [{ key_size: 8 }, { key_size: 0 }, { value_size: 8 }, { value_size: 0 }, { max_entries: 0 }]) {
      t.refuses(-EINVAL, { ...base, ...wrong });
    }
    for (const map_flags of [
      BPF_F_NO_PREALLOC,
      BPF_F_MMAPABLE,
      BPF_F_INNER_MAP,
      BPF_F_RDONLY_PROG,
      BPF_F_WRONLY_PROG,
    ]) {
      t.refuses(-EINVAL, { ...base, map_flags });
    }
    t.create({ ...base, map_flags: BPF_F_NUMA_NODE });
  },

  "an update takes programs only: flags, the index, the fd": (t) => {
    const fd = t.create(base);
    for (const flags of [BPF_NOEXIST, BPF_EXIST, 3, BPF_F_LOCK]) t.update(fd, u32(9), noFd, flags, -EINVAL);
    for (const index of [2, 3, 2 ** 31, 2 ** 32 - 1]) t.update(fd, u32(index), noFd, 0, -E2BIG);
    t.update(fd, u32(1), noFd, 0, -EBADF);
    t.update(fd, u32(1), u32(2 ** 32 - 1), 0, -EBADF);
    t.update(fd, u32(1), u32(0), 0, -EINVAL);
    t.update(fd, u32(1), fd, 0, -EINVAL);
  },

  "all elems are empty, and every index is a key": (t) => {
    const fd = t.create(base);
    for (const index of [0, 1, 2, 2 ** 32 - 1]) t.lookup(fd, u32(index), -ENOENT);
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
};
