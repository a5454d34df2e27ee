/**
 * What is checked of any command: attr's size, its bytes behind the end, and the command itself.
 */
import {
  BPF_ATTR_GET_NEXT_ID_END,
  BPF_ATTR_MAP_BATCH_END,
  BPF_ATTR_MAP_CREATE_END,
  BPF_ATTR_MAP_DELETE_ELEM_END,
  BPF_ATTR_MAP_GET_FD_BY_ID_END,
  BPF_ATTR_MAP_GET_NEXT_KEY_END,
  BPF_ATTR_MAP_LOOKUP_ELEM_END,
  BPF_ATTR_MAP_UPDATE_ELEM_END,
  BPF_ATTR_OBJ_END,
  BPF_ATTR_OBJ_GET_INFO_BY_FD_END,
  BPF_ATTR_SIZE,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  E2BIG,
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
} from "tsbpf/uapi";
import { ATTR, END, KEY, VALUE } from "../machine/arena.js";
import { type Story, run, u32 } from "./story.js";

const array = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 2 };

/** Where the last field of each command ends. */
const ends: readonly (readonly [cmd: number, end: number])[] = [
  [BPF_MAP_CREATE, BPF_ATTR_MAP_CREATE_END],
  [BPF_MAP_LOOKUP_ELEM, BPF_ATTR_MAP_LOOKUP_ELEM_END],
  [BPF_MAP_UPDATE_ELEM, BPF_ATTR_MAP_UPDATE_ELEM_END],
  [BPF_MAP_DELETE_ELEM, BPF_ATTR_MAP_DELETE_ELEM_END],
  [BPF_MAP_GET_NEXT_KEY, BPF_ATTR_MAP_GET_NEXT_KEY_END],
  [BPF_OBJ_PIN, BPF_ATTR_OBJ_END],
  [BPF_OBJ_GET, BPF_ATTR_OBJ_END],
  [BPF_MAP_GET_NEXT_ID, BPF_ATTR_GET_NEXT_ID_END],
  [BPF_MAP_GET_FD_BY_ID, BPF_ATTR_MAP_GET_FD_BY_ID_END],
  [BPF_OBJ_GET_INFO_BY_FD, BPF_ATTR_OBJ_GET_INFO_BY_FD_END],
  [BPF_MAP_LOOKUP_BATCH, BPF_ATTR_MAP_BATCH_END],
];

const zeroes = new Uint8Array(8192);

export const envelope: Story = {
  "a size beyond a page is E2BIG, before attr is read or the command known": (t) => {
    for (const size of [4097, 5000, 65536, 2 ** 31, 2 ** 32 - 1]) {
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", {}, -E2BIG, { size });
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", {}, -E2BIG, { size, attr: 0 });
      t.command(1000, "mapElem", {}, -E2BIG, { size });
    }
  },

  "bytes that the kernel does not know must be zero": (t) => {
    for (const size of [BPF_ATTR_SIZE, BPF_ATTR_SIZE + 1, 200, 1000, 4095, 4096]) {
      t.close(t.create(array, { size, data: [[BPF_ATTR_SIZE, zeroes.subarray(0, 4096)]] }));
    }
    for (const [size, at] of [
      [169, 168],
      [200, 199],
      [4096, 168],
      [4096, 2000],
      [4096, 4095],
    ] as const) {
      const data = [
        [BPF_ATTR_SIZE, zeroes.subarray(0, 4096)],
        [at, Uint8Array.of(1)],
      ] as const;
      t.refuses(-E2BIG, array, { size, data });
      t.command(1000, "mapElem", {}, -E2BIG, { size, data });
    }
  },

  "what lies behind attr's size is not looked at": (t) => {
    t.close(t.create(array, { size: 92, data: [[92, run(200)]] }));
    t.close(t.create(array, { data: [[BPF_ATTR_SIZE, run(200)]] }));
  },

  "attr that cannot be read is EFAULT": (t) => {
    for (const attr of [0, 8, 4096, { to: END }, { to: END - 1 }, { to: END - 100 }]) {
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", {}, -EFAULT, { attr });
      t.command(1000, "mapElem", {}, -EFAULT, { attr });
    }
    // All of it is wanted, even what the command would not use.
    t.refuses(-EFAULT, array, { attr: { to: END - 100 }, size: 101 });
    t.close(t.create(array, { attr: { to: END - 100 }, size: 100 }));
  },

  "unknown bytes are found before the end of what can be read": (t) => {
    const attr = { to: END - 200 };
    t.refuses(-EFAULT, array, { attr, size: 201, data: [[END - 200 + BPF_ATTR_SIZE, zeroes.subarray(0, 32)]] });
    t.refuses(-E2BIG, array, {
      attr,
      size: 201,
      data: [
        [END - 200 + BPF_ATTR_SIZE, zeroes.subarray(0, 31)],
        [END - 1, Uint8Array.of(1)],
      ],
    });
  },

  "of size 0 nothing is read": (t) => {
    for (const attr of [{ to: ATTR }, { to: END }, 0, 8]) {
      // Map type 0, and fd 0, which is no map's.
      t.command(BPF_MAP_CREATE, "mapCreate", {}, -EINVAL, { attr, size: 0 });
      t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", {}, -EINVAL, { attr, size: 0 });
      t.command(BPF_MAP_GET_FD_BY_ID, "getId", {}, -ENOENT, { attr, size: 0 });
    }
  },

  "of a short attr the rest counts as zero": (t) => {
    const fd = t.create(array, { size: 16 });
    t.info(fd, { max_entries: 2, map_flags: 0, name: zeroes.subarray(0, 16) });
    t.refuses(-EINVAL, array, { size: 15 - 3 });
    t.refuses(-EINVAL, { ...array, map_flags: 0x8000 }, { size: 20 });
    t.close(t.create({ ...array, map_flags: 0x8000 }, { size: 16 }));
    const fields = { map_fd: fd, key: { to: KEY }, value: { to: VALUE }, flags: 77 };
    t.command(BPF_MAP_UPDATE_ELEM, "mapElem", fields, -EINVAL, {
      size: 32,
      data: [
        [KEY, u32(1)],
        [VALUE, run(8)],
      ],
    });
    t.command(BPF_MAP_UPDATE_ELEM, "mapElem", fields, 0, {
      size: 24,
      data: [
        [KEY, u32(1)],
        [VALUE, run(8)],
      ],
    });
    t.lookup(fd, u32(1), run(8));
    t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, -EFAULT, { size: 4 });
    t.close(fd);
  },

  "a command that does not exist is EINVAL": (t) => {
    for (const cmd of [60, 1000, 2 ** 31 - 1, 2 ** 31, -1]) t.command(cmd, "mapElem", {}, -EINVAL);
  },

  "bytes behind a command's last field are EINVAL, whatever else is wrong": (t) => {
    for (const [cmd, end] of ends) {
      for (const at of [end, (end + BPF_ATTR_SIZE) >> 1, BPF_ATTR_SIZE - 1]) {
        const data = [[at, Uint8Array.of(1)]] as const;
        t.command(cmd, "mapElem", { map_fd: -1 }, -EINVAL, { data });
      }
    }
  },

  "padding between fields is not looked at": (t) => {
    const fd = t.create(array);
    const data = [
      [4, run(4)],
      [KEY, u32(0)],
      [VALUE, run(8)],
    ] as const;
    const fields = { map_fd: fd, key: { to: KEY }, value: { to: VALUE } };
    t.command(BPF_MAP_UPDATE_ELEM, "mapElem", fields, 0, { data });
    t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, 0, { data });
    t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", fields, 0, { data });
    t.close(fd);
  },

  "an fd that is closed is EBADF; 0, 1 and 2 are open, and no maps": (t) => {
    const fd = t.create(array);
    t.close(fd);
    t.does({ op: "close", fd: -1 }, -EBADF);
    t.does({ op: "close", fd: 0x7ffffff0 }, -EBADF);
    for (const [cmd, group] of [
      [BPF_MAP_LOOKUP_ELEM, "mapElem"],
      [BPF_MAP_UPDATE_ELEM, "mapElem"],
      [BPF_MAP_DELETE_ELEM, "mapElem"],
      [BPF_MAP_GET_NEXT_KEY, "mapElem"],
      [BPF_MAP_LOOKUP_BATCH, "batch"],
    ] as const) {
      for (const map_fd of [fd, -1, 0x7ffffff0, -(2 ** 31)]) t.command(cmd, group, { map_fd }, -EBADF);
      for (const map_fd of [0, 1, 2]) t.command(cmd, group, { map_fd }, -EINVAL);
    }
  },
};
