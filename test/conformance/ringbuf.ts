/**
 * BPF_MAP_TYPE_RINGBUF and BPF_MAP_TYPE_USER_RINGBUF, as system calls see them: what they are created with, and that they have no
 * elems. How they are mapped: test/maps/ring_buffer.test.ts.
 */
import {
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  EINVAL,
  ENOTSUPP,
} from "tsbpf/uapi";
import { IN, VALUE } from "../machine/arena.js";
import type { Story } from "./story.js";

export const ringbuf = (map_type: number): Story => {
  const base = { map_type, key_size: 0, value_size: 0, max_entries: 4096 };
  return {
    "no key, no value": (t) => {
      t.close(t.create(base));
      t.refuses(-EINVAL, { ...base, key_size: 4 });
      t.refuses(-EINVAL, { ...base, value_size: 4 });
    },

    "max_entries is a power of two, and whole pages": (t) => {
      for (const max_entries of [0, 1, 8, 2048, 4095, 4097, 12288, 2 ** 32 - 1]) {
        t.refuses(-EINVAL, { ...base, max_entries });
      }
      for (const max_entries of [8192, 65536]) t.close(t.create({ ...base, max_entries }));
    },

    "takes no flag but BPF_F_NUMA_NODE": (t) => {
      // Bit 19 is BPF_F_RB_OVERWRITE in kernels after 6.18.
      const others = [BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_NO_PREALLOC, BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, 2 ** 19];
      for (const map_flags of others) {
        t.refuses(-EINVAL, { ...base, map_flags });
      }
      t.close(t.create({ ...base, map_flags: BPF_F_NUMA_NODE }));
    },

    "has no elems": (t) => {
      const fd = t.create(base);
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd, value: { to: VALUE } }, -ENOTSUPP);
      t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, value: { to: VALUE } }, -ENOTSUPP);
      t.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd }, -ENOTSUPP);
      t.next(fd, undefined, -ENOTSUPP);
      t.command(BPF_MAP_LOOKUP_BATCH, "batch", { map_fd: fd, count: 1, out_batch: { to: IN } }, -ENOTSUPP);
    },

    "info says what it was created with": (t) => {
      const fd = t.create({ ...base, max_entries: 8192 });
      t.info(fd, { type: map_type, key_size: 0, value_size: 0, max_entries: 8192, map_flags: 0 });
    },
  };
};
