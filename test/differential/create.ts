/**
 * Random BPF_MAP_CREATE commands: mostly valid ones, the others wrong in a field or two. None of them has Linux allocate much: what
 * is large is what it refuses.
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
  BPF_MAP_CREATE,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from "tsbpf/uapi";
import { INFO } from "../machine/arena.js";
import type { Command, Word } from "../machine/command.js";
import { isHash, isLru } from "../machine/probe.js";
import { badPointers } from "./pointers.js";
import type { Random } from "./random.js";

const types = [
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
];
/** Which elem goes is each kernel's own affair: LRU hashes have so many times the room that others have for as many keys. */
export const LRU_ROOM = 64;
const keySizes = [1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 9, 12, 16, 20, 40, 129, 600];
const valueSizes = [1, 2, 3, 4, 4, 5, 7, 8, 8, 9, 12, 16, 17, 24, 40, 64, 100, 256, 1000];
const entryCounts = [1, 1, 2, 3, 4, 4, 5, 7, 8, 9, 15, 16, 17, 32];
const names = ["counts", "a", "a_b.c", "123456789012345", "_.0", "caf\xe9"];
const badNames = ["a b", "a-b", "1234567890123456", "a\x7f", "\xd7", "\xaa", "/", "a\n"];
const badSizes = [
  0,
  3,
  5,
  512,
  513,
  32760,
  32761,
  32768,
  32769,
  65536,
  4194251,
  4194252,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];
const badCounts = [0, 2 ** 27 + 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1];

/** What Linux may be asked to allocate for one map. */
const MAX_BYTES = 4 << 20;
/** More than any machine has: refused before anything is allocated. */
const ABSURD_BYTES = 2 ** 44;

const commonFlags = [BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG];
const flagsOf: ReadonlyMap<number, readonly number[]> = new Map([
  [BPF_MAP_TYPE_HASH, [...commonFlags, BPF_F_NO_PREALLOC, BPF_F_NO_PREALLOC, BPF_F_NUMA_NODE, BPF_F_ZERO_SEED]],
  [BPF_MAP_TYPE_ARRAY, [...commonFlags, BPF_F_NUMA_NODE, BPF_F_MMAPABLE, BPF_F_INNER_MAP]],
  [BPF_MAP_TYPE_PERCPU_HASH, [...commonFlags, BPF_F_NO_PREALLOC, BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED]],
  [BPF_MAP_TYPE_PERCPU_ARRAY, commonFlags],
  [BPF_MAP_TYPE_LRU_HASH, [...commonFlags, BPF_F_NO_COMMON_LRU, BPF_F_NUMA_NODE, BPF_F_ZERO_SEED]],
  [BPF_MAP_TYPE_LRU_PERCPU_HASH, [...commonFlags, BPF_F_NO_COMMON_LRU, BPF_F_ZERO_SEED]],
]);

const isHashType = (type: number): boolean => isHash({ type });

type Fields = Record<string, Word>;

/** A random BPF_MAP_CREATE. */
export function randomCreate(random: Random): Command {
  const map_type = random.pick(types);
  const key_size = isHashType(map_type) ? random.pick(keySizes) : 4;
  const fields: Fields = { map_type, key_size, value_size: random.pick(valueSizes) };
  const room = isLru({ type: map_type }) ? LRU_ROOM : 1;
  fields["max_entries"] = room * random.pick(key_size === 600 ? entryCounts.slice(0, 9) : entryCounts);
  let map_flags = 0;
  while (random.percent(30)) map_flags |= random.pick(flagsOf.get(map_type)!);
  fields["map_flags"] = map_flags;
  if (random.percent(40)) fields["map_name"] = Buffer.from(random.pick(names), "latin1");
  for (let wrongs = random.percent(35) ? 1 + random.below(2) : 0; wrongs > 0; wrongs--) {
    Object.assign(fields, random.pick(wrongFields)(random, fields));
  }
  keepSmall(fields);
  return { op: "bpf", cmd: BPF_MAP_CREATE, group: "mapCreate", fields };
}

/** What a wrong create has instead. No fd here is one of BTF, a token or a device, on either kernel. */
const wrongFields: readonly ((random: Random, fields: Fields) => Fields)[] = [
  (random) => ({ key_size: random.pick(badSizes) }),
  (random) => ({ value_size: random.pick(badSizes) }),
  (random) => ({ max_entries: random.pick(badCounts) }),
  (random, { map_flags }) => ({ map_flags: Number(map_flags) | (2 ** random.below(32)) }),
  (random, { map_flags }) => ({ map_flags: Number(map_flags) | (2 ** random.below(20)) }),
  (random) => ({ map_flags: random.u32() & random.u32() & random.u32() }),
  (random) => ({ map_type: random.pick([0, 200, 2 ** 31, 2 ** 32 - 1]) }),
  (random) => ({ map_name: Buffer.from(random.pick(badNames), "latin1") }),
  (random) => ({ map_name: random.bytes(16) }),
  (random) => ({ map_extra: random.pick([1, 2n ** 63n]) }),
  (random) => ({ map_ifindex: random.pick([0x7fffff00, -1]) }),
  (random, { map_flags }) => ({
    map_flags: Number(map_flags) | BPF_F_NUMA_NODE,
    numa_node: random.pick([0, 4096, -2, -1]),
  }),
  (random) => ({ numa_node: random.u32() }),
  (random) => ({ inner_map_fd: random.u32() }),
  (random) => ({ value_type_btf_obj_fd: random.u32() }),
  (random) => ({ btf_fd: badFd(random), btf_key_type_id: random.below(3), btf_value_type_id: random.below(3) }),
  (random) => ({ btf_fd: badFd(random) }),
  (random) => ({ btf_vmlinux_value_type_id: random.pick([1, 77]) }),
  (random, { map_flags }) => ({ map_flags: Number(map_flags) | BPF_F_TOKEN_FD, map_token_fd: badFd(random) }),
  (random) => ({ map_token_fd: badFd(random) }),
  (random) => ({ excl_prog_hash_size: random.pick([0, 1, 31, 32, 33]), excl_prog_hash: random.pick(badPointers) }),
  (random) => ({ excl_prog_hash_size: random.pick([31, 32]), excl_prog_hash: { to: INFO } }),
];

function badFd(random: Random): Word {
  return random.pick([-1, 0x7ffffff0, { fd: 0 }]);
}

/** Makes a map small that might be allocated. */
function keepSmall(fields: Fields): void {
  const number = (name: string): number => Number(fields[name]) >>> 0;
  const bytes = (): number => (number("key_size") + number("value_size") + 64) * 8 * number("max_entries");
  const isRefused = (): boolean => {
    if (isHashType(number("map_type"))) return number("max_entries") > 2 ** 27;
    return number("map_type") === BPF_MAP_TYPE_ARRAY ? bytes() > ABSURD_BYTES : false;
  };
  if (bytes() <= MAX_BYTES || isRefused()) return;
  fields["max_entries"] = isLru({ type: number("map_type") }) ? 2 ** 31 : 1;
  const isLong = number("value_size") > 2 ** 20 && number("value_size") < 2 ** 31;
  if (isLong && number("map_type") === BPF_MAP_TYPE_ARRAY) fields["value_size"] = 2 ** 31;
}
