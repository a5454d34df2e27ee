/**
 * BPF_MAP_CREATE: what is checked of every map, in which order. What the types check themselves is told in their stories.
 */
import {
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_TOKEN_FD,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_USER_RINGBUF,
  E2BIG,
  EBADF,
  EFAULT,
  EINVAL,
  ENOTSUPP,
} from "tsbpf/uapi";
import { END, INFO } from "../machine/arena.js";
import { isLru, isPerCpu as isPerCpuMap } from "../machine/probe.js";
import { type Story, name, run } from "./story.js";

const array = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 2 };
const noFd = 0x7ffffff0;

const fourFlags = BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
/** The flags that each type takes. */
const flagsOf: readonly (readonly [type: number, flags: number])[] = [
  [BPF_MAP_TYPE_HASH, fourFlags | BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED],
  [BPF_MAP_TYPE_ARRAY, fourFlags | BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_INNER_MAP],
  [BPF_MAP_TYPE_PERCPU_HASH, fourFlags | BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED],
  [BPF_MAP_TYPE_PERCPU_ARRAY, fourFlags],
  [BPF_MAP_TYPE_LRU_HASH, fourFlags | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED],
  [BPF_MAP_TYPE_LRU_PERCPU_HASH, fourFlags | BPF_F_NO_COMMON_LRU | BPF_F_ZERO_SEED],
];
const types = flagsOf.map(([type]) => type);

/** What the kernel's isalnum says, and "_" and ".": letters are those of Latin-1. */
function mayStandInName(byte: number): boolean {
  const isAscii = /[0-9A-Za-z_.]/.test(String.fromCharCode(byte)) && byte < 0x80;
  return isAscii || (byte >= 0xc0 && byte !== 0xd7 && byte !== 0xf7);
}

export const create: Story = {
  "takes the lowest free fd": (t) => {
    const fds = [t.create(array), t.create(array), t.create(array)];
    t.close(fds[1]!);
    t.create(array);
    t.create(array);
  },

  "a type that does not exist is EINVAL": (t) => {
    for (const map_type of [0, 200, 2 ** 31, 2 ** 32 - 1]) t.refuses(-EINVAL, { ...array, map_type });
  },

  "each type takes its own flags, and no other": (t) => {
    for (const [map_type, flags] of flagsOf) {
      for (let bit = 0; bit < 32; bit++) {
        const map_flags = 2 ** bit;
        if ((flags & map_flags) === 0) {
          const isKnown = isLru({ type: map_type }) && map_flags === BPF_F_NO_PREALLOC;
          t.refuses(isKnown ? -ENOTSUPP : -EINVAL, { ...array, map_type, map_flags });
          continue;
        }
        const fd = t.create({ ...array, map_type, map_flags });
        t.info(fd, { map_flags: map_flags & ~(BPF_F_RDONLY | BPF_F_WRONLY) });
        t.close(fd);
      }
    }
  },

  "flags that go together": (t) => {
    for (const map_type of types) {
      const together = { ...array, map_type, map_flags: BPF_F_RDONLY | BPF_F_WRONLY_PROG };
      t.info(t.create(together), { map_flags: BPF_F_WRONLY_PROG });
      t.refuses(-EINVAL, { ...array, map_type, map_flags: BPF_F_RDONLY | BPF_F_WRONLY });
      t.refuses(-EINVAL, { ...array, map_type, map_flags: BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG });
    }
  },

  "a NUMA node must exist where the flag is set, and per-CPU maps have none": (t) => {
    for (const map_type of types) {
      const isPerCpu = isPerCpuMap({ type: map_type });
      const numa = { ...array, map_type, map_flags: BPF_F_NUMA_NODE };
      for (const numa_node of [4096, 2 ** 31 - 1, 2 ** 31, -2]) t.refuses(-EINVAL, { ...numa, numa_node });
      t.create({ ...numa, numa_node: -1 });
      if (isPerCpu) t.refuses(-EINVAL, { ...numa, numa_node: 0 });
      else t.create({ ...numa, numa_node: 0 });
      t.create({ ...array, map_type, numa_node: 4096 });
    }
  },

  "a name is at most 15 letters, digits, underscores and dots": (t) => {
    for (const text of ["", "a", "_", ".", "counts.total_2", "123456789012345", "CAF\xc9", "caf\xe9"]) {
      t.info(t.create({ ...array, map_name: name(text) }), { name: name(text) });
    }
    for (const text of ["a b", "a-b", "a/b", "a\n", "1234567890123456", "123456789012345\xff"]) {
      t.refuses(-EINVAL, { ...array, map_name: name(text) });
    }
  },

  "every byte that a name may hold": (t) => {
    for (let byte = 1; byte < 256; byte++) {
      const fields = { ...array, map_name: Uint8Array.of(0x61, byte, 0x62) };
      if (mayStandInName(byte)) t.close(t.create(fields));
      else t.refuses(-EINVAL, fields);
    }
  },

  "what follows a name's end is ignored, and forgotten": (t) => {
    t.info(t.create({ ...array, map_name: name("abc\0 -/\xff\x01") }), { name: name("abc") });
    t.info(t.create({ ...array, map_name: name("\0bc") }), { name: new Uint8Array(16) });
  },

  "map_extra is for other types": (t) => {
    for (const map_type of types) {
      t.refuses(-EINVAL, { ...array, map_type, map_extra: 1 });
      t.refuses(-EINVAL, { ...array, map_type, map_extra: 2n ** 63n });
    }
  },

  "BTF: ids must go together, and the fd must be of BTF": (t) => {
    const fd = t.create(array);
    t.refuses(-EINVAL, { ...array, btf_vmlinux_value_type_id: 1 });
    t.refuses(-EINVAL, { ...array, btf_key_type_id: 1, btf_fd: fd });
    t.refuses(-EINVAL, { ...array, btf_key_type_id: 1, btf_fd: noFd });
    for (const btf_key_type_id of [0, 1]) {
      t.refuses(-EBADF, { ...array, btf_key_type_id, btf_value_type_id: 2, btf_fd: noFd });
      t.refuses(-EINVAL, { ...array, btf_key_type_id, btf_value_type_id: 2, btf_fd: fd });
      t.refuses(-EINVAL, { ...array, btf_key_type_id, btf_value_type_id: 2, btf_fd: 0 });
    }
    t.create({ ...array, btf_fd: noFd });
  },

  "a token's fd is looked at where the flag is set": (t) => {
    const fd = t.create(array);
    t.refuses(-EBADF, { ...array, map_flags: BPF_F_TOKEN_FD, map_token_fd: noFd });
    t.refuses(-EBADF, { ...array, map_flags: BPF_F_TOKEN_FD, map_token_fd: -1 });
    t.refuses(-EINVAL, { ...array, map_flags: BPF_F_TOKEN_FD, map_token_fd: fd });
    t.refuses(-EINVAL, { ...array, map_flags: BPF_F_TOKEN_FD, map_token_fd: 0 });
    t.create({ ...array, map_token_fd: noFd });
  },

  "the hash of a program that is to have the map alone has 32 bytes": (t) => {
    const fields = { ...array, excl_prog_hash: { to: INFO } };
    t.create({ ...fields, excl_prog_hash_size: 32 });
    for (const excl_prog_hash_size of [0, 1, 31, 33, 2 ** 32 - 1])
      t.refuses(-EINVAL, { ...fields, excl_prog_hash_size });
    t.refuses(-EINVAL, { ...array, excl_prog_hash_size: 32 });
    for (const excl_prog_hash of [1, { to: END }, { to: END - 31 }, 2n ** 63n]) {
      t.refuses(-EFAULT, { ...array, excl_prog_hash, excl_prog_hash_size: 32 });
    }
  },

  "a device that does not exist is EINVAL": (t) => {
    for (const map_type of types) t.refuses(-EINVAL, { ...array, map_type, map_ifindex: 0x7fffff00 });
  },

  "fields of other types are ignored": (t) => {
    t.create({ ...array, inner_map_fd: noFd, value_type_btf_obj_fd: -1 });
  },

  "the order of the checks": (t) => {
    // Sizes before a token's fd, before the name, before BTF, before a program's hash: seen where the errnos differ.
    const badToken = { map_flags: BPF_F_TOKEN_FD, map_token_fd: noFd };
    const badBtf = { btf_fd: noFd, btf_value_type_id: 1 };
    const badHash = { excl_prog_hash: 1, excl_prog_hash_size: 32 };
    t.refuses(-EINVAL, { ...array, key_size: 5, ...badToken });
    t.refuses(-EINVAL, { ...array, map_flags: BPF_F_TOKEN_FD | 0x8000, map_token_fd: noFd });
    t.refuses(-EBADF, { ...array, ...badToken, map_ifindex: 0x7fffff00 });
    t.refuses(-EBADF, { ...array, ...badToken, map_name: name(" ") });
    t.refuses(-EINVAL, { ...array, ...badBtf, map_name: name(" ") });
    t.refuses(-EBADF, { ...array, ...badBtf, ...badHash });
    t.refuses(-EINVAL, { ...array, ...badHash, map_name: run(16) });
    t.refuses(-EINVAL, { ...array, value_size: 0, ...badBtf });
    t.refuses(-EINVAL, { ...array, value_size: 2 ** 31, map_extra: 1 });
    t.refuses(-EINVAL, { ...array, value_size: 2 ** 31, map_flags: BPF_F_RDONLY | BPF_F_WRONLY });
  },

  "a token's fd is looked at before or after the sizes, as the type has it": (t) => {
    const wrong = { key_size: 3, value_size: 0, max_entries: 0, map_flags: BPF_F_TOKEN_FD, map_token_fd: noFd };
    for (const map_type of [...types, BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK]) {
      t.refuses(-EINVAL, { ...wrong, map_type });
    }
    for (const map_type of [
      BPF_MAP_TYPE_BLOOM_FILTER,
      BPF_MAP_TYPE_LPM_TRIE,
      BPF_MAP_TYPE_RINGBUF,
      BPF_MAP_TYPE_USER_RINGBUF,
    ]) {
      t.refuses(-EBADF, { ...wrong, map_type });
    }
    t.refuses(-E2BIG, { ...wrong, map_type: BPF_MAP_TYPE_BLOOM_FILTER, value_size: 2 ** 31 });
  },
};
