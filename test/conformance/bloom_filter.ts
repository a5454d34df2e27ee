/**
 * BPF_MAP_TYPE_BLOOM_FILTER.
 */
import {
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_F_ZERO_SEED,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_NOEXIST,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOTSUPP,
  EOPNOTSUPP,
  EPERM,
} from "tsbpf/uapi";
import { END, VALUE } from "../machine/arena.js";
import { refusesBadValues, refusesBatches, refusesSizes, refusesWalks } from "./_keyless_family.js";
import { type Fd, type Story, type Teller, run, u32 } from "./story.js";

const base = { map_type: BPF_MAP_TYPE_BLOOM_FILTER, key_size: 0, value_size: 4, max_entries: 100 };

/** Asks for a value: 0, it may be there; or -ENOENT. */
function asks(t: Teller, fd: Fd, value: Uint8Array, wanted = 0): void {
  t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd, key: 0, value: { to: VALUE } }, wanted, {
    data: [[VALUE, value]],
  });
}

export const bloomFilter: Story = {
  "sizes and flags that are refused": (t) => refusesSizes(t, base, -E2BIG),

  "map_extra is how many hashes": (t) => {
    for (const map_extra of [0, 1, 5, 15]) {
      const fd = t.create({ ...base, map_extra });
      t.info(fd, { map_extra });
      asks(t, fd, u32(1), -ENOENT);
      t.push(fd, u32(1));
      asks(t, fd, u32(1));
      t.close(fd);
    }
    for (const map_extra of [16, 17, 2n ** 32n, 2n ** 63n]) t.refuses(-EINVAL, { ...base, map_extra });
  },

  "finds all that was added": (t) => {
    for (const map_flags of [0, BPF_F_ZERO_SEED]) {
      const fd = t.create({ ...base, map_flags });
      for (let i = 0; i < 100; i++) t.push(fd, u32(i * 7919));
      for (let i = 0; i < 100; i++) asks(t, fd, u32(i * 7919));
      t.close(fd);
    }
  },

  "values of each size, all their bytes": (t) => {
    for (const value_size of [1, 2, 3, 4, 7, 8, 12, 16, 33, 1000]) {
      const fd = t.create({ ...base, value_size });
      t.push(fd, run(value_size, 7));
      asks(t, fd, run(value_size, 7));
      t.close(fd);
    }
  },

  flags: (t) => {
    const fd = t.create(base);
    for (const flags of [BPF_NOEXIST, BPF_EXIST, 3, BPF_F_LOCK, 8, 2n ** 63n]) t.push(fd, u32(1), flags, -EINVAL);
    asks(t, fd, u32(1), -ENOENT);
  },

  "a value that cannot be read": (t) => {
    refusesBadValues(t, base);
    const fd = t.create(base);
    for (const value of [0, { to: END }, { to: END - 3 }]) {
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd, key: 0, value }, -EFAULT);
    }
  },

  "deleting and walking": (t) => refusesWalks(t, base, -EOPNOTSUPP),

  "looking up and deleting": (t) => {
    const fd = t.create(base);
    t.push(fd, u32(1));
    for (const value of [{ to: VALUE }, 0]) {
      t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", { map_fd: fd, key: 0, value }, -ENOTSUPP);
    }
  },

  batches: (t) => refusesBatches(t, base),

  "read-only and write-only fds": (t) => {
    const reader = t.create({ ...base, map_flags: BPF_F_RDONLY });
    t.push(reader, u32(1), 0, -EPERM);
    asks(t, reader, u32(1), -ENOENT);
    const writer = t.create({ ...base, map_flags: BPF_F_WRONLY });
    t.push(writer, u32(1));
    asks(t, writer, u32(1), -EPERM);
  },
};
