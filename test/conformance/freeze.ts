/**
 * BPF_MAP_FREEZE: system calls write no more, through any fd.
 */
import { createHash } from "node:crypto";
import {
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_INFO_HASH_OFF,
  BPF_MAP_INFO_HASH_SIZE_OFF,
  BPF_MAP_INFO_SIZE,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_UPDATE_BATCH,
  EBADF,
  EFAULT,
  EINVAL,
  EPERM,
} from "tsbpf/uapi";
import { INFO, KEY, KEYS, NEXT, VALUE } from "../machine/arena.js";
import { type Fd, type Fields, type Story, type Teller, run, u32, u64 } from "./story.js";

const types = [
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
];
const key = u32(1);

function freeze(t: Teller, fd: Fd | number, wanted: number, fields: Fields = {}): void {
  t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: fd, ...fields }, wanted);
}

/** Nothing writes through this fd. */
function writesNot(t: Teller, fd: Fd, value: Uint8Array): void {
  t.update(fd, key, value, 0, -EPERM);
  for (const cmd of [BPF_MAP_DELETE_ELEM, BPF_MAP_LOOKUP_AND_DELETE_ELEM]) {
    const fields = cmd === BPF_MAP_DELETE_ELEM ? {} : { value: { to: VALUE } };
    t.command(cmd, "mapElem", { map_fd: fd, key: { to: KEY }, ...fields }, -EPERM);
  }
  for (const cmd of [BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH]) {
    t.command(cmd, "batch", { map_fd: fd, keys: { to: KEYS }, values: { to: VALUE }, count: 1 }, -EPERM);
  }
  freeze(t, fd, -EPERM);
}

export const freezeStory: Story = {
  "only the fd is given": (t) => {
    for (const fd of [-1, 0x7ffffff0]) freeze(t, fd, -EBADF);
    freeze(t, 0, -EINVAL);
    const fd = t.create({ map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 4 });
    freeze(t, fd, -EINVAL, { key: 1 });
    freeze(t, fd, -EINVAL, { flags: 1 });
  },

  "through any fd, and only once": (t) => {
    for (const map_type of types) {
      const fd = t.create({ map_type, key_size: 4, value_size: 8, max_entries: 4 });
      const value = run(t.slotBytes(map_type, 8));
      t.update(fd, key, value);
      const other = t.opens(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: fd.fd } });
      const read = t.opens(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: fd.fd }, open_flags: BPF_F_RDONLY });
      const write = t.opens(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: fd.fd }, open_flags: BPF_F_WRONLY });
      freeze(t, read, -EPERM);
      t.update(fd, key, value);
      freeze(t, write, 0);
      for (const each of [fd, other, read, write]) writesNot(t, each, value);
      const later = t.opens(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: fd.fd } });
      writesNot(t, later, value);
      t.lookup(later, key, value);
      t.lookup(read, key, value);
      for (const each of [fd, other, read, write, later]) t.close(each);
    }
  },

  "a frozen array has a hash: the SHA-256 of all its elems, each rounded up to 8 bytes": (t) => {
    for (const [value_size, n] of [
      [1, 1],
      [4, 9],
      [8, 7],
      [8, 8],
      [13, 27],
      [64, 4],
    ] as const) {
      const fd = t.create({ map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size, max_entries: n });
      const elem = (value_size + 7) & ~7;
      const all = new Uint8Array(elem * n);
      for (let i = 0; i < n; i++) {
        all.set(run(value_size, 7 * i), elem * i);
        t.update(fd, u32(i), run(value_size, 7 * i));
      }
      freeze(t, fd, 0);
      const info = new Uint8Array(BPF_MAP_INFO_SIZE);
      info.set(u32(32), BPF_MAP_INFO_HASH_SIZE_OFF);
      const fields = { bpf_fd: fd, info_len: BPF_MAP_INFO_SIZE, info: { to: INFO } };
      info.set(u32(8), BPF_MAP_INFO_HASH_OFF);
      t.command(BPF_OBJ_GET_INFO_BY_FD, "info", fields, -EFAULT, { data: [[INFO, info]] });
      info.set(u64(t.addressOf(NEXT)), BPF_MAP_INFO_HASH_OFF);
      t.command(BPF_OBJ_GET_INFO_BY_FD, "info", fields, 0, { data: [[INFO, info]] });
      t.equal("The hash", t.bytesAt(NEXT, 32), createHash("sha256").update(all).digest());
      t.close(fd);
    }
  },
};
