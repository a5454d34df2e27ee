/**
 * BPF_MAP_GET_NEXT_ID and BPF_MAP_GET_FD_BY_ID: maps by id, and how long they live.
 */
import {
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_TYPE_HASH,
  EINVAL,
  ENOENT,
  EPERM,
  bpfAttr,
} from "tsbpf/uapi";
import { ATTR } from "../machine/arena.js";
import { type Fd, type Fields, type Story, type Teller, u32 } from "./story.js";

const hash = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 4 };

function open(t: Teller, fields: Fields): Fd {
  return t.opens(BPF_MAP_GET_FD_BY_ID, "getId", fields);
}

export const ids: Story = {
  "an fd by id is the same map": (t) => {
    const fd = t.create(hash);
    const other = open(t, { map_id: { id: fd.fd } });
    t.update(other, u32(1), u32(2));
    t.lookup(fd, u32(1), u32(2));
    t.info(other, { type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 4 });
  },

  "a map lives as long as one of its fds": (t) => {
    const fd = t.create(hash);
    t.update(fd, u32(1), u32(2));
    const other = open(t, { map_id: { id: fd.fd } });
    t.close(fd);
    t.lookup(other, u32(1), u32(2));
    t.close(other);
    t.command(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: other.fd } }, -ENOENT);
  },

  "an fd by id may be for reading or for writing only": (t) => {
    const fd = t.create(hash);
    const reader = open(t, { map_id: { id: fd.fd }, open_flags: BPF_F_RDONLY });
    const writer = open(t, { map_id: { id: fd.fd }, open_flags: BPF_F_WRONLY });
    t.update(reader, u32(1), u32(2), 0, -EPERM);
    t.update(writer, u32(1), u32(2));
    t.lookup(writer, u32(1), -EPERM);
    t.lookup(reader, u32(1), u32(2));
    t.info(writer, { map_flags: 0 });
  },

  "it may be for more than the map's first fd was": (t) => {
    const fd = t.create({ ...hash, map_flags: BPF_F_RDONLY });
    t.update(fd, u32(1), u32(2), 0, -EPERM);
    t.update(open(t, { map_id: { id: fd.fd } }), u32(1), u32(2));
    t.lookup(fd, u32(1), u32(2));
  },

  "other open_flags are EINVAL, before the id is looked for": (t) => {
    const fd = t.create(hash);
    for (const open_flags of [1, 2, 4, BPF_F_RDONLY | BPF_F_WRONLY, 32, 2 ** 31]) {
      t.command(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: fd.fd }, open_flags }, -EINVAL);
      t.command(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: 0, open_flags }, -EINVAL);
    }
  },

  "an id that no map has is ENOENT": (t) => {
    for (const map_id of [0, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      t.command(BPF_MAP_GET_FD_BY_ID, "getId", { map_id }, -ENOENT);
    }
  },

  "next_id is not looked at": (t) => {
    const fd = t.create(hash);
    open(t, { map_id: { id: fd.fd }, next_id: 77 });
    t.command(BPF_MAP_GET_NEXT_ID, "getId", { start_id: 0, next_id: 2 ** 32 - 1 }, 0);
  },

  "ids lead to every map, upwards": (t) => {
    const fds = [t.create(hash), t.create(hash), t.create(hash)];
    t.findsIds("0,1,2");
    t.close(fds[1]!);
    t.findsIds("0,2");
    t.create(hash);
    t.findsIds("0,2,3");
  },

  "a start_id from INT_MAX on is EINVAL": (t) => {
    t.create(hash);
    for (const start_id of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      t.command(BPF_MAP_GET_NEXT_ID, "getId", { start_id }, -EINVAL);
    }
  },

  "after the last id it is ENOENT, and nothing is written": (t) => {
    t.create(hash);
    t.command(BPF_MAP_GET_NEXT_ID, "getId", { start_id: 2 ** 31 - 2, next_id: 77 }, -ENOENT);
    t.equal("next_id", t.bytesAt(ATTR + bpfAttr.getId.next_id.off, 4), u32(77));
  },
};
