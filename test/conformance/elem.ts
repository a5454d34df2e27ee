/**
 * BPF_MAP_LOOKUP_ELEM, UPDATE_ELEM, DELETE_ELEM and GET_NEXT_KEY: what is checked of any map, in which order.
 */
import {
  BPF_F_LOCK,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_UPDATE_ELEM,
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
  EPERM,
} from "tsbpf/uapi";
import { END, KEY, NEXT, VALUE } from "../machine/arena.js";
import { isHash as isHashMap, isPerCpu as isPerCpuMap } from "../machine/probe.js";
import { type Fd, type Story, type Teller, run, u32 } from "./story.js";

const types = [
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
];
const badPointers = [1, 8, 4096, { to: END }, { to: END - 1 }, 2n ** 47n, 2n ** 63n, 2n ** 64n - 1n];
const key = u32(1);

/** A map of each type with an elem of key 1, and its value. */
function eachType(t: Teller, tell: (fd: Fd, value: Uint8Array, type: number) => void, map_flags = 0): void {
  for (const map_type of types) {
    const isPerCpu = isPerCpuMap({ type: map_type });
    const fd = t.create({ map_type, key_size: 4, value_size: 8, max_entries: 4, map_flags });
    const value = run(isPerCpu ? 8 * t.possibleCpus : 8);
    if ((map_flags & BPF_F_RDONLY) === 0) t.update(fd, key, value);
    tell(fd, value, map_type);
    t.close(fd);
  }
}

const isHash = (type: number): boolean => isHashMap({ type });

export const elem: Story = {
  "flags: LOOKUP_ELEM looks at them before the fd, UPDATE_ELEM after it": (t) => {
    for (const flags of [1, 2, 8, 16, 2n ** 32n, 2n ** 63n]) {
      t.lookup(-1, key, -EINVAL, flags);
      t.update(-1, key, key, flags, -EBADF);
      eachType(t, (fd, value) => {
        t.lookup(fd, key, -EINVAL, flags);
        if (flags !== 1 && flags !== 2) t.update(fd, key, value, flags, -EINVAL);
      });
    }
  },

  "BPF_F_LOCK is EINVAL where values have no lock": (t) => {
    t.lookup(-1, key, -EBADF, BPF_F_LOCK);
    eachType(t, (fd, value) => {
      t.lookup(fd, key, -EINVAL, BPF_F_LOCK);
      for (const flags of [0, 1, 2, 3]) t.update(fd, key, value, BPF_F_LOCK | flags, -EINVAL);
      // Before key and value are read.
      t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, flags: BPF_F_LOCK }, -EINVAL);
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd, flags: BPF_F_LOCK }, -EINVAL);
    });
  },

  "other flags of UPDATE_ELEM are EINVAL once key and value were read": (t) => {
    eachType(t, (fd, value) => {
      for (const flags of [3, 8, 2 ** 31, 2n ** 32n, 2n ** 32n + 1n]) {
        t.update(fd, key, value, flags, -EINVAL);
        t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, key: { to: KEY }, flags }, -EFAULT);
      }
    });
  },

  "an fd for reading only does not write": (t) => {
    eachType(
      t,
      (fd, value, type) => {
        t.update(fd, key, value, 0, -EPERM);
        t.delete(fd, key, -EPERM);
        t.lookup(fd, key, isHash(type) ? -ENOENT : new Uint8Array(value.length));
        // Before key, value and flags are looked at.
        t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, flags: 77 }, -EPERM);
        t.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd }, -EPERM);
      },
      BPF_F_RDONLY,
    );
  },

  "an fd for writing only does not read": (t) => {
    eachType(
      t,
      (fd) => {
        t.lookup(fd, key, -EPERM);
        t.lookup(fd, key, -EPERM, BPF_F_LOCK);
        t.next(fd, undefined, -EPERM);
        t.command(BPF_MAP_LOOKUP_BATCH, "batch", { map_fd: fd, count: 7, elem_flags: 77 }, -EPERM);
        t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd }, -EPERM);
      },
      BPF_F_WRONLY,
    );
  },

  "what is forbidden to programs is allowed to user space": (t) => {
    for (const flag of [BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG]) {
      eachType(t, (fd, value) => t.lookup(fd, key, value), flag);
    }
  },

  "a key that cannot be read is EFAULT": (t) => {
    eachType(t, (fd) => {
      for (const pointer of [0, ...badPointers]) {
        const fields = { map_fd: fd, key: pointer, value: { to: VALUE } };
        t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, -EFAULT);
        t.command(BPF_MAP_UPDATE_ELEM, "mapElem", fields, -EFAULT);
        t.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd, key: pointer }, -EFAULT);
        if (pointer === 0) continue;
        t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", { map_fd: fd, key: pointer, next_key: { to: NEXT } }, -EFAULT);
      }
    });
  },

  "a value that cannot be read is EFAULT": (t) => {
    eachType(t, (fd, value) => {
      for (const pointer of [0, ...badPointers, { to: END - value.length + 1 }]) {
        t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, key: { to: KEY }, value: pointer }, -EFAULT, {
          data: [[KEY, key]],
        });
      }
      t.lookup(fd, key, value);
    });
  },

  "a value that cannot be written is EFAULT, if there is one": (t) => {
    eachType(t, (fd, value) => {
      for (const pointer of [0, ...badPointers, { to: END - value.length + 1 }]) {
        const fields = { map_fd: fd, key: { to: KEY }, value: pointer };
        t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, -EFAULT, { data: [[KEY, key]] });
        t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, -ENOENT, { data: [[KEY, u32(99)]] });
      }
      const last = { to: END - value.length };
      const fields = { map_fd: fd, key: { to: KEY }, value: last };
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, 0, { data: [[KEY, key]] });
      t.equal("The value", t.bytesAt(last.to, value.length), value);
    });
  },

  "a next_key that cannot be written is EFAULT, if there is one": (t) => {
    eachType(t, (fd, _, type) => {
      for (const pointer of [0, ...badPointers]) {
        t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", { map_fd: fd, next_key: pointer }, -EFAULT);
      }
      if (isHash(type)) t.delete(fd, key);
      const fields = { map_fd: fd, key: { to: KEY }, next_key: 0 };
      t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", fields, -ENOENT, { data: [[KEY, u32(3)]] });
    });
  },

  "key and value may lie anywhere, and on each other": (t) => {
    eachType(t, (fd, value) => {
      const fields = { map_fd: fd, key: { to: KEY + 3 }, value: { to: VALUE + 5 } };
      t.command(BPF_MAP_UPDATE_ELEM, "mapElem", fields, 0, {
        data: [
          [KEY + 3, u32(2)],
          [VALUE + 5, value],
        ],
      });
      t.lookup(fd, u32(2), value);
      for (let shift = -3; shift <= 3; shift++) {
        const overlapping = { map_fd: fd, key: { to: KEY + 8 }, value: { to: KEY + 8 + shift } };
        t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", overlapping, 0, { data: [[KEY + 8, u32(2)]] });
        t.equal("The value", t.bytesAt(KEY + 8 + shift, value.length), value);
      }
    });
  },

  "next_key may lie where key does": (t) => {
    eachType(t, (fd, value) => {
      t.update(fd, u32(0), value);
      const fields = { map_fd: fd, key: { to: KEY }, next_key: { to: KEY } };
      t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", fields, 0, { data: [[KEY, u32(99)]] });
    });
  },
};
