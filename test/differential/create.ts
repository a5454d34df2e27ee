/**
 * Random BPF_MAP_CREATE commands: mostly valid ones, the others wrong in a field or two. None of them has Linux allocate much: what
 * is large is what it refuses.
 */
import {
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NO_USER_CONV,
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_SEGV_ON_FAULT,
  BPF_F_TOKEN_FD,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
  BPF_MAP_CREATE,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_USER_RINGBUF,
} from "tsbpf/uapi";
import { INFO } from "../machine/arena.js";
import type { Command, Word } from "../machine/command.js";
import { isHash, isLru, isMapInMap } from "../machine/probe.js";
import { badPointers } from "./pointers.js";
import type { Random } from "./random.js";

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

/** Bytes of a key for which there is room in the arena. */
const MOST_KEY_BYTES = 4096;
/** What Linux may be asked to allocate for one map. */
const MAX_BYTES = 4 << 20;
/** More than any machine has: refused before anything is allocated. */
const ABSURD_BYTES = 2 ** 44;

const commonFlags = [BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG];
const hashFlags = [...commonFlags, BPF_F_NO_PREALLOC, BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED];
const pageCounts = [4096, 4096, 8192];

/** What a type takes. */
interface Kind {
  readonly map_type: number;
  /** How often it is made, among the others. */
  readonly weight: number;
  readonly keys?: readonly number[];
  readonly values?: readonly number[];
  readonly entries?: readonly number[];
  readonly flags?: readonly number[];
  /** Flags that must be given. */
  readonly must?: number;
  readonly extras?: readonly number[];
  readonly isOuter?: boolean;
}

const trieKeys = [5, 6, 8, 8, 8, 8, 12, 20, 20, 24, 260];
const lruKeys = [1, 4, 4, 8, 16];
const lruValues = [1, 4, 8, 12, 24];
const lruEntries = [256, 300, 512];
const keyless = { keys: [0], flags: [...commonFlags, BPF_F_NUMA_NODE] };
const devices = { values: [4, 8], flags: [BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_NUMA_NODE] };
const outer = { values: [4], isOuter: true };

const kinds: readonly Kind[] = [
  {
    map_type: BPF_MAP_TYPE_HASH,
    weight: 20,
    keys: keySizes,
    flags: [...hashFlags, BPF_F_NUMA_NODE],
  },
  {
    map_type: BPF_MAP_TYPE_ARRAY,
    weight: 14,
    flags: [...commonFlags, BPF_F_NUMA_NODE, BPF_F_MMAPABLE, BPF_F_INNER_MAP],
  },
  { map_type: BPF_MAP_TYPE_PERCPU_HASH, weight: 9, keys: keySizes, flags: hashFlags },
  { map_type: BPF_MAP_TYPE_PERCPU_ARRAY, weight: 8, flags: commonFlags },
  // Room for more than is put in: what has to go is open.
  {
    map_type: BPF_MAP_TYPE_LRU_HASH,
    weight: 5,
    keys: lruKeys,
    values: lruValues,
    entries: lruEntries,
    flags: [...commonFlags, BPF_F_NUMA_NODE, BPF_F_NO_COMMON_LRU, BPF_F_ZERO_SEED],
  },
  {
    map_type: BPF_MAP_TYPE_LRU_PERCPU_HASH,
    weight: 3,
    keys: lruKeys,
    values: lruValues,
    entries: lruEntries,
    flags: [...commonFlags, BPF_F_NO_COMMON_LRU, BPF_F_ZERO_SEED],
  },
  { map_type: BPF_MAP_TYPE_QUEUE, weight: 6, ...keyless },
  { map_type: BPF_MAP_TYPE_STACK, weight: 6, ...keyless },
  {
    map_type: BPF_MAP_TYPE_BLOOM_FILTER,
    weight: 5,
    keys: [0],
    flags: [...commonFlags, BPF_F_NUMA_NODE, BPF_F_ZERO_SEED],
    extras: [0, 1, 3, 15, 16],
  },
  {
    map_type: BPF_MAP_TYPE_LPM_TRIE,
    weight: 14,
    keys: trieKeys,
    flags: [...commonFlags, BPF_F_NUMA_NODE],
    must: BPF_F_NO_PREALLOC,
  },
  {
    map_type: BPF_MAP_TYPE_RINGBUF,
    weight: 1,
    ...keyless,
    values: [0],
    entries: pageCounts,
    flags: [BPF_F_NUMA_NODE, BPF_F_RDONLY_PROG],
  },
  {
    map_type: BPF_MAP_TYPE_USER_RINGBUF,
    weight: 1,
    ...keyless,
    values: [0],
    entries: pageCounts,
    flags: [BPF_F_NUMA_NODE, BPF_F_RDONLY],
  },
  {
    map_type: BPF_MAP_TYPE_ARENA,
    weight: 1,
    keys: [0],
    values: [0],
    entries: [1, 2, 32],
    flags: [BPF_F_SEGV_ON_FAULT, BPF_F_NO_USER_CONV, BPF_F_NUMA_NODE],
    must: BPF_F_MMAPABLE,
  },
  {
    map_type: BPF_MAP_TYPE_PERF_EVENT_ARRAY,
    weight: 1,
    values: [4],
    flags: [BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_NUMA_NODE, BPF_F_PRESERVE_ELEMS],
  },
  { map_type: BPF_MAP_TYPE_DEVMAP, weight: 2, ...devices },
  { map_type: BPF_MAP_TYPE_DEVMAP_HASH, weight: 2, ...devices },
  { map_type: BPF_MAP_TYPE_PROG_ARRAY, weight: 1, values: [4], flags: commonFlags },
  { map_type: BPF_MAP_TYPE_ARRAY_OF_MAPS, weight: 30, ...outer, flags: [...commonFlags, BPF_F_NUMA_NODE] },
  { map_type: BPF_MAP_TYPE_HASH_OF_MAPS, weight: 30, ...outer, keys: keySizes, flags: hashFlags },
];

/** Linux refuses one of them that is too large before it allocates; of devices it does not. */
const isHashType = (type: number): boolean => isHash({ type }) && type !== BPF_MAP_TYPE_DEVMAP_HASH;

/** By weight. @param withOuter Maps of maps, too, which have Linux take its time to end. */
function pickKind(random: Random, withOuter: boolean): Kind {
  const among = kinds.filter(({ isOuter }) => withOuter || isOuter !== true);
  let at = random.below(among.reduce((sum, { weight }) => sum + weight, 0));
  return among.find(({ weight }) => (at -= weight) < 0)!;
}

type Fields = Record<string, Word>;

/** A random BPF_MAP_CREATE. `inner`: the slots of maps that may be templates, if there are to be maps of maps. */
export function randomCreate(random: Random, inner: readonly number[] | undefined): Command {
  if (inner !== undefined && random.percent(40)) return makeCreate({ ...oneForAll });
  const kind = pickKind(random, inner !== undefined);
  const { map_type } = kind;
  const key_size = random.pick(kind.keys ?? [4]);
  const fields: Fields = { map_type, key_size, value_size: random.pick(kind.values ?? valueSizes) };
  fields["max_entries"] = random.pick(kind.entries ?? (key_size === 600 ? entryCounts.slice(0, 9) : entryCounts));
  let map_flags = kind.must ?? 0;
  while (random.percent(30)) map_flags |= random.pick(kind.flags!);
  fields["map_flags"] = map_flags;
  if (kind.extras !== undefined && random.percent(50)) fields["map_extra"] = random.pick(kind.extras);
  if (kind.isOuter === true) fields["inner_map_fd"] = { fd: random.pick(inner!.length > 0 ? inner! : [0]) };
  if (random.percent(40)) fields["map_name"] = Buffer.from(random.pick(names), "latin1");
  for (let wrongs = random.percent(35) ? 1 + random.below(2) : 0; wrongs > 0; wrongs--) {
    Object.assign(fields, random.pick(wrongFields)(random, fields));
  }
  keepSmall(fields);
  const type = Number(fields["map_type"]) >>> 0;
  if (isLru({ type })) keepRoomy(fields);
  // The fd that is given as a value lies where so long a key ends, and is another number on another kernel.
  if (isMapInMap({ type }) && Number(fields["key_size"]) > MOST_KEY_BYTES) fields["key_size"] = 2 ** 31;
  return makeCreate(fields);
}

/** An LRU map is one that has room for all, or is refused. */
function keepRoomy(fields: Fields): void {
  if (Number(fields["key_size"]) >>> 0 > 64 || Number(fields["value_size"]) >>> 0 > 64) fields["key_size"] = 2 ** 31;
  else if (fields["max_entries"] !== 0) fields["max_entries"] = lruEntries[0]!;
}

/** Fits into each map of maps whose template is another one. */
const oneForAll: Fields = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 4 };

function makeCreate(fields: Fields): Command {
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
  (random) => ({ map_extra: random.pick([1, 15, 16, 2n ** 63n]) }),
  (random) => ({ map_type: random.pick(kinds).map_type }),
  (random) => ({ map_ifindex: random.pick([0x7fffff00, -1]) }),
  (random, { map_flags }) => ({
    map_flags: Number(map_flags) | BPF_F_NUMA_NODE,
    numa_node: random.pick([0, 4096, -2, -1]),
  }),
  (random) => ({ numa_node: random.u32() }),
  (random) => ({ inner_map_fd: random.pick<Word>([random.u32(), { fd: 0 }]) }),
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
    return number("map_type") === BPF_MAP_TYPE_ARRAY && bytes() > ABSURD_BYTES;
  };
  if (bytes() <= MAX_BYTES || isRefused()) return;
  fields["max_entries"] = 1;
  const isLong = number("value_size") > 2 ** 20 && number("value_size") < 2 ** 31;
  if (isLong && !isHashType(number("map_type"))) fields["value_size"] = 2 ** 31;
}
