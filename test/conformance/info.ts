/**
 * BPF_OBJ_GET_INFO_BY_FD of a map: its fields, lengths of struct bpf_map_info, and what the caller must leave zero.
 */
import {
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_MAP_INFO_HASH_OFF,
  BPF_MAP_INFO_HASH_SIZE_OFF,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_OBJ_GET_INFO_BY_FD,
  E2BIG,
  EBADFD,
  EFAULT,
  EINVAL,
  EPERM,
  bpfAttr,
} from "tsbpf/uapi";
import { END, INFO, VALUE } from "../machine/arena.js";
import type { Word } from "../machine/command.js";
import { type Fd, type Story, type Teller, name, run, u32, u64 } from "./story.js";

const hash = { map_type: BPF_MAP_TYPE_HASH, key_size: 3, value_size: 5, max_entries: 7 };
const array = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 2 };
const zeroes = new Uint8Array(4096);

/** The command with so many bytes of info, which hold `given`; `written` is what info_len says then. */
function ask(
  t: Teller,
  fd: Fd,
  info_len: number,
  wanted: number,
  given: Uint8Array = zeroes,
  info: Word = { to: INFO },
): void {
  t.command(BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: fd, info_len, info }, wanted, { data: [[INFO, given]] });
  const written = wanted === 0 ? Math.min(info_len, BPF_MAP_INFO_SIZE) : info_len;
  t.equal("info_len", t.bytesAt(bpfAttr.info.info_len.off, 4), u32(written));
}

function withBytes(at: number, bytes: Uint8Array): Uint8Array {
  const given = zeroes.slice();
  given.set(bytes, at);
  return given;
}

export const info: Story = {
  "says what the map was created with": (t) => {
    for (const type of [BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH]) {
      const map_flags = BPF_F_NO_PREALLOC | BPF_F_WRONLY_PROG;
      const fd = t.create({ ...hash, map_type: type, map_flags, map_name: name("conns") });
      t.info(fd, { type, key_size: 3, value_size: 5, max_entries: 7, map_flags, name: name("conns") });
      t.info(fd, { ifindex: 0, map_extra: 0, btf_id: 0, btf_key_type_id: 0, btf_value_type_id: 0, netns_ino: 0 });
    }
    for (const type of [BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY]) {
      const fd = t.create({ ...array, map_type: type });
      t.info(fd, { type, key_size: 4, value_size: 8, max_entries: 2, map_flags: 0, name: new Uint8Array(16) });
    }
  },

  "whether an fd reads or writes is no flag of the map, and no matter here": (t) => {
    for (const map_flags of [BPF_F_RDONLY, BPF_F_WRONLY]) t.info(t.create({ ...hash, map_flags }), { map_flags: 0 });
  },

  "every map has an id of its own": (t) => {
    for (let i = 0; i < 3; i++) t.info(t.create(hash), { id: i });
  },

  "of a shorter struct so much is written": (t) => {
    const fd = t.create(hash);
    for (const length of [0, 1, 4, 5, 8, 23, 24, 40, 80, 88, 100, 103, 104]) {
      ask(t, fd, length, 0, new Uint8Array(256).fill(0xee, length));
      t.equal("What lies behind", t.bytesAt(INFO + length, 100), new Uint8Array(100).fill(0xee));
    }
  },

  "of 0 bytes the pointer may be any": (t) => {
    const fd = t.create(hash);
    for (const pointer of [0, 8, { to: END }, 2n ** 63n, 2n ** 64n - 1n]) ask(t, fd, 0, 0, zeroes, pointer);
  },

  "a longer struct must be zero behind the last field": (t) => {
    const fd = t.create(hash);
    for (const length of [105, 112, 200, 4096]) {
      ask(t, fd, length, 0);
      ask(t, fd, length, -E2BIG, withBytes(length - 1, run(1)));
      ask(t, fd, length, 0, withBytes(length, run(1).subarray(0, 4096 - length)));
    }
    // The padding is behind the last field.
    for (const at of [100, 103]) {
      ask(t, fd, 104, -E2BIG, withBytes(at, run(1)));
      ask(t, fd, at, 0, withBytes(at, run(1)));
    }
    for (const length of [4097, 2 ** 31, 2 ** 32 - 1]) ask(t, fd, length, -E2BIG);
  },

  "what the map has not stays as the caller had it": (t) => {
    const fd = t.create(hash);
    for (const at of [40, 48, 56, 64, 72, 76]) {
      ask(t, fd, 104, 0, withBytes(at, run(4)));
      t.equal(`info + ${at}`, t.bytesAt(INFO + at, 4), run(4));
    }
    ask(t, fd, 104, 0, withBytes(44, run(4)));
    t.equal("btf_vmlinux_value_type_id", t.bytesAt(INFO + 44, 4), u32(0));
  },

  "info that cannot be read or written is EFAULT": (t) => {
    const fd = t.create(hash);
    for (const pointer of [0, 8, { to: END }, { to: END - 99 }, 2n ** 63n]) ask(t, fd, 104, -EFAULT, zeroes, pointer);
    // Zeroes up to the end of what can be read.
    const data = [[END - 104, new Uint8Array(104)]] as const;
    const fields = { bpf_fd: fd, info_len: 200, info: { to: END - 104 } };
    t.command(BPF_OBJ_GET_INFO_BY_FD, "info", fields, -EFAULT, { data });
    t.command(BPF_OBJ_GET_INFO_BY_FD, "info", { ...fields, info_len: 104 }, 0, { data });
  },

  "a hash is of an array, has 32 bytes, and wants it frozen": (t) => {
    const hashOf = (pointer: number, size: number): Uint8Array => {
      const given = withBytes(BPF_MAP_INFO_HASH_OFF, u64(pointer));
      given.set(u32(size), BPF_MAP_INFO_HASH_SIZE_OFF);
      return given;
    };
    for (const fields of [hash, array, { ...array, map_type: BPF_MAP_TYPE_PERCPU_ARRAY }]) {
      const fd = t.create(fields);
      for (const size of [0, 1, 31, 33]) ask(t, fd, 104, -EINVAL, hashOf(8, size));
      ask(t, fd, 104, fields === array ? -EPERM : -EINVAL, hashOf(8, 32));
      ask(t, fd, 104, -EINVAL, hashOf(0, 32));
      ask(t, fd, 88, 0, hashOf(8, 32));
      ask(t, fd, 96, -EINVAL, hashOf(8, 32));
    }
  },

  "an fd that is closed is EBADFD; 0, 1 and 2 are EINVAL": (t) => {
    const fd = t.create(hash);
    t.close(fd);
    for (const bpf_fd of [fd, -1, 0x7ffffff0]) {
      t.command(BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd, info_len: 104, info: { to: VALUE } }, -EBADFD);
      t.command(BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd, info_len: 5000, info: 0 }, -EBADFD);
    }
    for (const bpf_fd of [0, 1, 2]) t.command(BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd, info_len: 5000 }, -EINVAL);
  },
};
