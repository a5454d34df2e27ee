/**
 * BPF_MAP_LOOKUP_AND_DELETE_ELEM: who has it, checks and their order, what is left.
 */
import {
  BPF_F_LOCK,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOTSUPP,
  EPERM,
} from "tsbpf/uapi";
import { KEY, VALUE } from "../machine/arena.js";
import { type Fd, type Fields, type Story, type Teller, run, u32 } from "./story.js";

const hashes = [BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH];
const types = [...hashes, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY];
const key = u32(1);

function take(t: Teller, fd: Fd | number, wanted: number, fields: Fields = {}): void {
  const all = { map_fd: fd, key: { to: KEY }, value: { to: VALUE }, ...fields };
  t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", all, wanted, { data: [[KEY, key]] });
}

export const lookupAndDelete: Story = {
  "flags come before the fd, rights before BPF_F_LOCK": (t) => {
    take(t, -1, -EBADF);
    take(t, -1, -EINVAL, { flags: 1 });
    take(t, -1, -EBADF, { flags: BPF_F_LOCK });
    for (const map_type of types) {
      const fields = { map_type, key_size: 4, value_size: 8, max_entries: 4 };
      const fd = t.create(fields);
      for (const flags of [1, 2, BPF_F_LOCK, 8, 2n ** 32n]) take(t, fd, -EINVAL, { flags });
      for (const map_flags of [BPF_F_RDONLY, BPF_F_WRONLY]) {
        take(t, t.create({ ...fields, map_flags }), -EPERM, { flags: BPF_F_LOCK });
      }
      take(t, fd, -EFAULT, { key: 8 });
    }
  },

  "arrays do not have it: 524": (t) => {
    for (const map_type of types.slice(hashes.length)) {
      const fd = t.create({ map_type, key_size: 4, value_size: 8, max_entries: 4 });
      take(t, fd, -ENOTSUPP);
      take(t, fd, -ENOTSUPP, { value: 0 });
    }
  },

  "the value comes, the elem goes": (t) => {
    for (const map_type of hashes) {
      for (const [key_size, value_size] of [
        [4, 4],
        [4, 8],
        [8, 5],
        [16, 48],
        [20, 300],
      ] as const) {
        const fd = t.create({ map_type, key_size, value_size, max_entries: 4 });
        const bytes = t.slotBytes(map_type, value_size);
        const k = run(key_size);
        const data = [[KEY, k]] as const;
        const all = { map_fd: fd, key: { to: KEY }, value: { to: VALUE } };
        t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", all, -ENOENT, { data });
        t.update(fd, k, run(bytes));
        t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", all, 0, { data });
        t.equal("The value", t.bytesAt(VALUE, value_size), run(value_size));
        t.lookup(fd, k, -ENOENT);
        t.close(fd);
      }
    }
  },

  "a value that cannot be written is EFAULT, and the elem gone": (t) => {
    for (const map_type of hashes) {
      const fd = t.create({ map_type, key_size: 4, value_size: 8, max_entries: 4 });
      take(t, fd, -ENOENT, { value: 0 });
      t.update(fd, key, run(t.slotBytes(map_type, 8)));
      take(t, fd, -EFAULT, { value: 8 });
      t.lookup(fd, key, -ENOENT);
    }
  },
};
