/**
 * BPF_MAP_TYPE_ARENA, as system calls see it: what it is created with, and that it has no elems. How it is mapped:
 * test/maps/arena.test.ts.
 */
import {
  BPF_ANY,
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_NO_USER_CONV,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_SEGV_ON_FAULT,
  BPF_F_WRONLY,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_UPDATE_ELEM,
  BPF_NOEXIST,
  E2BIG,
  EINVAL,
  ENOTSUPP,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
} from "tsbpf/uapi";
import { END, KEY, NEXT, VALUE } from "../machine/arena.js";
import { refusesBatches } from "./_keyless_family.js";
import type { Story } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_ARENA, key_size: 0, value_size: 0, max_entries: 4, map_flags: BPF_F_MMAPABLE };
/** A user address that no test maps anything at. */
const ADDRESS = 2n ** 44n;

export const arena: Story = {
  "no key, no value, and pages": (t) => {
    t.close(t.create(base));
    t.refuses(-EINVAL, { ...base, key_size: 4 });
    t.refuses(-EINVAL, { ...base, value_size: 4096 });
    t.refuses(-EINVAL, { ...base, max_entries: 0 });
  },

  "BPF_F_MMAPABLE is wanted, and few flags are taken beside it": (t) => {
    t.refuses(-EINVAL, { ...base, map_flags: 0 });
    for (const flag of [BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_NO_PREALLOC, BPF_F_RDONLY_PROG, BPF_F_NUMA_NODE, 2 ** 30]) {
      t.refuses(-EINVAL, { ...base, map_flags: BPF_F_MMAPABLE | flag });
    }
    for (const map_flags of [BPF_F_SEGV_ON_FAULT, BPF_F_NO_USER_CONV, BPF_F_SEGV_ON_FAULT | BPF_F_NO_USER_CONV]) {
      t.refuses(-EINVAL, { ...base, map_flags });
      const fd = t.create({ ...base, map_flags: BPF_F_MMAPABLE | map_flags });
      t.info(fd, { map_flags: BPF_F_MMAPABLE | map_flags });
      t.close(fd);
    }
  },

  "at most 4 GiB": (t) => {
    for (const max_entries of [2 ** 20 + 1, 2 ** 32 - 1]) {
      t.refuses(-E2BIG, { ...base, max_entries });
      t.refuses(-E2BIG, { ...base, max_entries, map_extra: ADDRESS });
      t.refuses(-EINVAL, { ...base, max_entries, map_extra: 1 });
    }
  },

  "map_extra is where it is mapped: whole pages, that do not cross 4 GiB": (t) => {
    for (const map_extra of [4096, ADDRESS, ADDRESS + 2n ** 32n - 4n * 4096n]) {
      const fd = t.create({ ...base, map_extra });
      t.info(fd, { map_extra, max_entries: 4 });
      t.close(fd);
    }
    for (const map_extra of [1, 4095, ADDRESS + 8n, 2n ** 64n - 1n]) t.refuses(-EINVAL, { ...base, map_extra });
    for (const map_extra of [ADDRESS - 4096n, ADDRESS - 3n * 4096n, 2n ** 64n - 4096n]) {
      t.refuses(-ERANGE, { ...base, map_extra });
    }
    t.refuses(-ERANGE, { ...base, max_entries: 2 ** 20, map_extra: 4096 });
  },

  "has no elems": (t) => {
    const fd = t.create(base);
    for (const value of [{ to: VALUE }, { to: END }, 0]) {
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd, value }, -EINVAL);
      t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", { map_fd: fd, value }, -ENOTSUPP);
      t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", { map_fd: fd, next_key: value }, -EOPNOTSUPP);
    }
    for (const flags of [BPF_ANY, BPF_NOEXIST, BPF_EXIST, 3, 2n ** 63n]) {
      t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, value: { to: VALUE }, flags }, -EOPNOTSUPP);
    }
    t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, value: { to: VALUE }, flags: BPF_F_LOCK }, -EINVAL);
    t.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd }, -EOPNOTSUPP);
  },

  "a key is one too many": (t) => {
    const fd = t.create(base);
    for (const key of [{ to: KEY }, { to: END }, 1]) {
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd, key, value: { to: VALUE } }, -EINVAL);
      t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, key, value: { to: VALUE } }, -EINVAL);
      t.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd, key }, -EINVAL);
      t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", { map_fd: fd, key, next_key: { to: NEXT } }, -EINVAL);
    }
  },

  batches: (t) => refusesBatches(t, base),

  freezing: (t) => {
    const fd = t.create(base);
    t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: fd }, 0);
    t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: fd }, -EPERM);
  },
};
