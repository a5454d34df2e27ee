/**
 * Hints: the likely reason of an errno, and the way out. One table, the first row that fits.
 */
import * as bpf from "../uapi/bpf.js";
import * as errno from "../uapi/errno.js";
import { mapTypeName } from "../uapi/names.js";
import type { MapInfo } from "./syscalls.js";

/** What a failed call was about. */
export interface Failure {
  /** Positive. */
  readonly errno: number;
  /** BPF_MAP_*, BPF_OBJ_*. */
  readonly cmd: number;
  readonly kernel: "embedded" | "linux";
  /** Of the map, as far as they are known. */
  readonly map?: KnownMap | undefined;
  /** The map that was to go into a map of maps, or to be its template. */
  readonly inner?: KnownMap | undefined;
  /** What such a map must be like, where that is known. */
  readonly template?: KnownMap | undefined;
}

type KnownMap = Pick<MapInfo, "type" | "maxEntries" | "keySize" | "valueSize" | "mapFlags" | "name">;

/** A row of the table. */
export interface HintRow {
  /** Positive. */
  readonly errno: number;
  readonly cmd: number | readonly number[];
  readonly when?: (failure: Failure) => boolean;
  readonly hint: string | ((failure: Failure) => string);
}

const isHash = ({ map }: Failure): boolean =>
  map?.type === bpf.BPF_MAP_TYPE_HASH || map?.type === bpf.BPF_MAP_TYPE_PERCPU_HASH;
const isLru = ({ map }: Failure): boolean =>
  map?.type === bpf.BPF_MAP_TYPE_LRU_HASH || map?.type === bpf.BPF_MAP_TYPE_LRU_PERCPU_HASH;
const isArray = ({ map }: Failure): boolean =>
  map?.type === bpf.BPF_MAP_TYPE_ARRAY ||
  map?.type === bpf.BPF_MAP_TYPE_PERCPU_ARRAY ||
  map?.type === bpf.BPF_MAP_TYPE_ARRAY_OF_MAPS ||
  map?.type === bpf.BPF_MAP_TYPE_PROG_ARRAY ||
  map?.type === bpf.BPF_MAP_TYPE_PERF_EVENT_ARRAY;
const isOuterType = (type: number | undefined): boolean =>
  type === bpf.BPF_MAP_TYPE_ARRAY_OF_MAPS || type === bpf.BPF_MAP_TYPE_HASH_OF_MAPS;
const isOuter = ({ map }: Failure): boolean => isOuterType(map?.type);
const isProgArray = ({ map }: Failure): boolean => map?.type === bpf.BPF_MAP_TYPE_PROG_ARRAY;
const isPerfArray = ({ map }: Failure): boolean => map?.type === bpf.BPF_MAP_TYPE_PERF_EVENT_ARRAY;
const linuxOnly = [
  bpf.BPF_MAP_TYPE_STACK_TRACE,
  bpf.BPF_MAP_TYPE_CGROUP_ARRAY,
  bpf.BPF_MAP_TYPE_CPUMAP,
  bpf.BPF_MAP_TYPE_XSKMAP,
  bpf.BPF_MAP_TYPE_SOCKMAP,
  bpf.BPF_MAP_TYPE_SOCKHASH,
  bpf.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
  bpf.BPF_MAP_TYPE_CGROUP_STORAGE,
  bpf.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  bpf.BPF_MAP_TYPE_SK_STORAGE,
  bpf.BPF_MAP_TYPE_INODE_STORAGE,
  bpf.BPF_MAP_TYPE_TASK_STORAGE,
  bpf.BPF_MAP_TYPE_CGRP_STORAGE,
  bpf.BPF_MAP_TYPE_STRUCT_OPS,
];
/** Types that hold or describe Linux's own objects: devices, sockets, cgroups, tasks, events, stacks. */
const isLinuxOnly = ({ map }: Failure): boolean => map !== undefined && linuxOnly.includes(map.type);
/** Of storages: elems belong to objects of the kernel, and the value's type must be known. */
const isStorage = ({ map }: Failure): boolean =>
  map?.type === bpf.BPF_MAP_TYPE_SK_STORAGE ||
  map?.type === bpf.BPF_MAP_TYPE_INODE_STORAGE ||
  map?.type === bpf.BPF_MAP_TYPE_TASK_STORAGE ||
  map?.type === bpf.BPF_MAP_TYPE_CGRP_STORAGE;
const isPerCpu = ({ map }: Failure): boolean =>
  map?.type === bpf.BPF_MAP_TYPE_PERCPU_HASH ||
  map?.type === bpf.BPF_MAP_TYPE_PERCPU_ARRAY ||
  map?.type === bpf.BPF_MAP_TYPE_LRU_PERCPU_HASH;
const isTrie = ({ map }: Failure): boolean => map?.type === bpf.BPF_MAP_TYPE_LPM_TRIE;
const isKeyless = ({ map }: Failure): boolean =>
  map?.type === bpf.BPF_MAP_TYPE_QUEUE ||
  map?.type === bpf.BPF_MAP_TYPE_STACK ||
  map?.type === bpf.BPF_MAP_TYPE_BLOOM_FILTER;
const isRing = ({ map }: Failure): boolean => map?.type === bpf.BPF_MAP_TYPE_RINGBUF;
const isUserRing = ({ map }: Failure): boolean => map?.type === bpf.BPF_MAP_TYPE_USER_RINGBUF;
/** A power of two of whole pages. */
const isRingSize = (size: number): boolean => size >= 4096 && (size & (size - 1)) === 0;
const isArena = ({ map }: Failure): boolean => map?.type === bpf.BPF_MAP_TYPE_ARENA;
const isEmbedded = ({ kernel }: Failure): boolean => kernel === "embedded";
const hasFlag =
  (flag: number) =>
  ({ map }: Failure): boolean =>
    ((map?.mapFlags ?? 0) & flag) !== 0;
const both =
  (a: (failure: Failure) => boolean, b: (failure: Failure) => boolean) =>
  (failure: Failure): boolean =>
    a(failure) && b(failure);

const writes = [
  bpf.BPF_MAP_UPDATE_ELEM,
  bpf.BPF_MAP_DELETE_ELEM,
  bpf.BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  bpf.BPF_MAP_LOOKUP_AND_DELETE_BATCH,
];
const reads = [bpf.BPF_MAP_LOOKUP_ELEM, bpf.BPF_MAP_GET_NEXT_KEY, bpf.BPF_MAP_LOOKUP_BATCH];
const elems = [...writes, ...reads];
const opens = [bpf.BPF_MAP_CREATE, bpf.BPF_OBJ_GET, bpf.BPF_MAP_GET_FD_BY_ID];

const { BPF_F_NO_PREALLOC, BPF_F_NO_COMMON_LRU, BPF_F_NUMA_NODE, BPF_F_ZERO_SEED, BPF_F_MMAPABLE, BPF_F_INNER_MAP } =
  bpf;
/** Flags that decide who may read and write, which all of these types take. */
const accessFlags = bpf.BPF_F_RDONLY | bpf.BPF_F_WRONLY | bpf.BPF_F_RDONLY_PROG | bpf.BPF_F_WRONLY_PROG;
/** What else a type takes. */
const flagsOfTypes = new Map<number, number>([
  [bpf.BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED],
  [bpf.BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED],
  [bpf.BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED],
  [bpf.BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_F_NO_COMMON_LRU | BPF_F_ZERO_SEED],
  [bpf.BPF_MAP_TYPE_ARRAY, BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_INNER_MAP],
  [bpf.BPF_MAP_TYPE_PERCPU_ARRAY, 0],
  [bpf.BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE],
  [bpf.BPF_MAP_TYPE_QUEUE, BPF_F_NUMA_NODE],
  [bpf.BPF_MAP_TYPE_STACK, BPF_F_NUMA_NODE],
  [bpf.BPF_MAP_TYPE_BLOOM_FILTER, BPF_F_NUMA_NODE | BPF_F_ZERO_SEED],
]);
const flagNames = [
  { name: "BPF_F_NO_PREALLOC", value: BPF_F_NO_PREALLOC },
  { name: "BPF_F_NO_COMMON_LRU", value: BPF_F_NO_COMMON_LRU },
  { name: "BPF_F_NUMA_NODE", value: BPF_F_NUMA_NODE },
  { name: "BPF_F_STACK_BUILD_ID", value: bpf.BPF_F_STACK_BUILD_ID },
  { name: "BPF_F_ZERO_SEED", value: BPF_F_ZERO_SEED },
  { name: "BPF_F_CLONE", value: bpf.BPF_F_CLONE },
  { name: "BPF_F_MMAPABLE", value: BPF_F_MMAPABLE },
  { name: "BPF_F_PRESERVE_ELEMS", value: bpf.BPF_F_PRESERVE_ELEMS },
  { name: "BPF_F_INNER_MAP", value: BPF_F_INNER_MAP },
];

/** Flags of a map that its type does not take, by name; none of a type that is not listed. */
function unfitFlags(map: KnownMap | undefined): string[] {
  const takes = map === undefined ? undefined : flagsOfTypes.get(map.type);
  if (map === undefined || takes === undefined) return [];
  let unfit = (map.mapFlags & ~(takes | accessFlags)) >>> 0;
  const names: string[] = [];
  for (const { name, value } of flagNames) {
    if ((unfit & value) === 0) continue;
    names.push(name);
    unfit = (unfit & ~value) >>> 0;
  }
  return unfit === 0 ? names : [...names, `0x${unfit.toString(16)}`];
}

/** A name that the kernel takes: see bpf_obj_name_cpy. */
const isName = (name: string): boolean => name.length < bpf.BPF_OBJ_NAME_LEN && /^[A-Za-z0-9_.]*$/.test(name);

/** In what an inner map differs from what its outer map takes: undefined if that is not known. */
function misfit({ inner, template }: Failure): string | undefined {
  if (inner === undefined || template === undefined) return undefined;
  const typeOf = ({ type }: KnownMap): string => mapTypeName(type) ?? `type ${type}`;
  if (inner.type !== template.type) return `it is of type ${typeOf(inner)}, and not ${typeOf(template)}`;
  const isFixed = template.type === bpf.BPF_MAP_TYPE_ARRAY && (template.mapFlags & bpf.BPF_F_INNER_MAP) === 0;
  for (const field of ["keySize", "valueSize", "mapFlags", "maxEntries"] as const) {
    if (field === "maxEntries" && !isFixed) continue;
    if (inner[field] !== template[field]) return `its ${field} is ${inner[field]}, and not ${template[field]}`;
  }
  return undefined;
}

const notForUserSpace = "elems of this map type are for programs: user space cannot read them";

/** Exported for its tests: each row has one. */
export const hints: readonly HintRow[] = [
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isEmbedded, isLinuxOnly),
    hint: ({ map }) =>
      `maps of type ${mapTypeName(map?.type ?? 0)} are about objects of the Linux kernel: create it with LinuxKernel`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: isStorage,
    hint: "a storage has keys of 4 bytes, BPF_F_NO_PREALLOC, maxEntries 0, and BTF of its value",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: ({ map }) => map?.maxEntries === 0,
    hint: "maxEntries is 0: it must be at least 1",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: ({ map }) => map !== undefined && !isName(map.name),
    hint: `a name has at most ${bpf.BPF_OBJ_NAME_LEN - 1} letters, digits, "_" and "."`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isOuter, ({ inner }) => isOuterType(inner?.type)),
    hint: "maps of maps do not hold maps of maps: there is one level only",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isOuter, ({ inner }) => inner?.type === bpf.BPF_MAP_TYPE_PROG_ARRAY),
    hint: "maps of type prog_array cannot go into a map of maps",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: [bpf.BPF_MAP_CREATE, bpf.BPF_MAP_UPDATE_ELEM],
    when: isOuter,
    hint: "a map that is for one program alone (excl_prog_hash) cannot go into a map of maps",
  },
  {
    errno: errno.EBADF,
    cmd: [bpf.BPF_MAP_CREATE, bpf.BPF_MAP_UPDATE_ELEM],
    when: isOuter,
    hint: "the inner map is closed, or the map of maps itself",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: both(isOuter, (failure) => misfit(failure) !== undefined),
    hint: (failure) => `the map does not fit, all that are in there must be alike: ${misfit(failure)}`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isOuter,
    hint: "the map does not fit: all that are in there have one type, keySize, valueSize, mapFlags, and arrays one maxEntries",
  },
  {
    errno: errno.E2BIG,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: ({ map }) => map?.type === bpf.BPF_MAP_TYPE_HASH_OF_MAPS,
    hint: ({ map }) => `the map holds ${map?.maxEntries} of ${map?.maxEntries} maps: raise maxEntries`,
  },
  {
    errno: errno.EBADF,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isProgArray,
    hint: "the map, or the program's fd, is closed",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isProgArray,
    hint: "the fd is not a program's, or the program is of another type than those in there",
  },
  {
    errno: errno.EBADF,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isPerfArray,
    hint: ({ kernel }) =>
      `the map is closed, or the fd is not that of ${kernel === "linux" ? "a perf event" : "a ring buffer, which an elem is in the embedded kernel"}`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: (failure) => (isRing(failure) || isUserRing(failure)) && !isRingSize(failure.map?.maxEntries ?? 0),
    hint: ({ map }) => `the size of a ring is a power of two and at least 4096, and this one is ${map?.maxEntries}`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: isArena,
    hint: "an arena wants BPF_F_MMAPABLE, and an address that is a multiple of 4096",
  },
  {
    errno: errno.E2BIG,
    cmd: bpf.BPF_MAP_CREATE,
    when: isArena,
    hint: ({ map }) => `an arena has at most 1048576 pages (4 GiB), and this one has ${map?.maxEntries}`,
  },
  {
    errno: errno.ERANGE,
    cmd: bpf.BPF_MAP_CREATE,
    hint: "from its address on, the arena crosses a multiple of 4 GiB: choose a lower address",
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: bpf.BPF_MAP_CREATE,
    when: isArena,
    hint: "this Linux has no arenas on this processor: x86-64 has them from 6.9 on, arm64 from 6.10 on",
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isRing,
    hint: "on Linux only programs write to ring buffers",
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isUserRing,
    hint: "on Linux only programs take records out of user ring buffers",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isUserRing,
    hint: "what was written there is no record, or the position behind it is wrong: nothing more comes out of the ring",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isRing,
    hint: "the record was submitted or discarded already, or another thread has reserved it",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isArray, ({ map }) => map?.keySize !== 4),
    hint: ({ map }) => `the key of an array is its index, a u32: keySize is ${map?.keySize}, and must be 4`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isTrie, ({ map }) => (map?.keySize ?? 0) < 5 || (map?.keySize ?? 0) > 260),
    hint: ({ map }) => `the key of an LPM trie has 5 to 260 bytes, a u32 prefixlen first: keySize is ${map?.keySize}`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isKeyless, ({ map }) => map?.keySize !== 0),
    hint: ({ map }) => `this map type has no keys: keySize is ${map?.keySize}, and must be 0`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isKeyless, hasFlag(bpf.BPF_F_NO_PREALLOC)),
    hint: "queues, stacks and bloom filters are always preallocated: they do not take BPF_F_NO_PREALLOC",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isPerCpu, hasFlag(bpf.BPF_F_NUMA_NODE)),
    hint: "per-CPU maps do not take BPF_F_NUMA_NODE",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(hasFlag(bpf.BPF_F_NO_COMMON_LRU), (failure) => !isLru(failure)),
    hint: "only LRU hashes take BPF_F_NO_COMMON_LRU",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(hasFlag(bpf.BPF_F_NO_COMMON_LRU), hasFlag(bpf.BPF_F_NUMA_NODE)),
    hint: "BPF_F_NO_COMMON_LRU and BPF_F_NUMA_NODE exclude each other: the lists are of CPUs, wherever these are",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isLru, hasFlag(bpf.BPF_F_NO_PREALLOC)),
    hint: "LRU hashes are always preallocated: they do not take BPF_F_NO_PREALLOC",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(hasFlag(bpf.BPF_F_RDONLY), hasFlag(bpf.BPF_F_WRONLY)),
    hint: "BPF_F_RDONLY and BPF_F_WRONLY exclude each other",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isArray, hasFlag(bpf.BPF_F_NO_PREALLOC)),
    hint: "arrays are always preallocated: they do not take BPF_F_NO_PREALLOC",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(hasFlag(bpf.BPF_F_MMAPABLE), ({ map }) => map?.type !== bpf.BPF_MAP_TYPE_ARRAY),
    hint: "only arrays and arenas take BPF_F_MMAPABLE",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: hasFlag(bpf.BPF_F_NUMA_NODE),
    hint: "there may be no NUMA node of this number, or the map type takes none",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(hasFlag(bpf.BPF_F_RDONLY_PROG), hasFlag(bpf.BPF_F_WRONLY_PROG)),
    hint: "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: ({ map }) => unfitFlags(map).length > 0,
    hint: ({ map }) => `${mapTypeName(map!.type)} maps do not take ${unfitFlags(map).join(" and ")}`,
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: ({ map }) => map !== undefined && flagsOfTypes.has(map.type) && map.valueSize === 0,
    hint: "valueSize is 0: it must be at least 1",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    when: (failure) => (isHash(failure) || isLru(failure)) && failure.map?.keySize === 0,
    hint: "keySize is 0: it must be at least 1",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_CREATE,
    hint: "a size, a flag, or the combination of flags is not one that the map type takes",
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: bpf.BPF_MAP_CREATE,
    when: isLru,
    hint: "exact needs the embedded kernel, and an fd that may read and write: on Linux an LRU hash lets go of what was not used for long",
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: bpf.BPF_MAP_CREATE,
    hint: "values of this map type have no bpf_spin_lock, nor other special fields: hash and array may",
  },
  {
    errno: errno.EACCES,
    cmd: bpf.BPF_MAP_CREATE,
    hint: "values with a bpf_spin_lock are written to by programs: neither BPF_F_RDONLY_PROG nor BPF_F_WRONLY_PROG",
  },
  {
    errno: errno.EPERM,
    cmd: bpf.BPF_BTF_LOAD,
    hint: "loading BTF needs root or CAP_BPF; without it, EmbeddedKernel needs no rights",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_BTF_LOAD,
    hint: "the BTF breaks a rule: a name that is no identifier, a member beyond its struct, an id that there is not",
  },
  {
    errno: errno.EINVAL,
    cmd: [bpf.BPF_MAP_LOOKUP_ELEM, bpf.BPF_MAP_UPDATE_ELEM],
    when: (failure) => (isHash(failure) || isArray(failure)) && !isPerCpu(failure),
    hint: "lock: true (BPF_F_LOCK) is for maps that were created with a lock in their values: a field that is spinLock",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: bpf.BPF_MAP_FREEZE,
    hint: "a map whose values have a lock, a timer or a pointer of the kernel in them is never frozen",
  },
  {
    errno: errno.EPERM,
    cmd: bpf.BPF_MAP_CREATE,
    hint: "creating maps needs root or CAP_BPF; without it, EmbeddedKernel needs no rights",
  },
  {
    errno: errno.E2BIG,
    cmd: bpf.BPF_MAP_CREATE,
    when: both(isPerCpu, ({ map }) => (map?.valueSize ?? 0) > 32768),
    hint: ({ map }) => `a per-CPU value has at most 32768 bytes, and this one has ${map?.valueSize}`,
  },
  {
    errno: errno.E2BIG,
    cmd: bpf.BPF_MAP_CREATE,
    hint: "the key and the value together, or maxEntries, are more than the map type holds",
  },
  {
    errno: errno.ENOMEM,
    cmd: bpf.BPF_MAP_CREATE,
    when: isEmbedded,
    hint: "the kernel's memory is too small for it: create the kernel with a larger maxMemory, or lower maxEntries",
  },
  { errno: errno.ENOMEM, cmd: bpf.BPF_MAP_CREATE, hint: "the system has not as much memory: lower maxEntries" },
  { errno: errno.EMFILE, cmd: opens, hint: "too many fds are open: close maps that are not used" },
  {
    errno: errno.E2BIG,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isHash,
    hint: (failure) =>
      `the map holds ${failure.map?.maxEntries} of ${failure.map?.maxEntries} elems: raise maxEntries or use an ${isPerCpu(failure) ? "lru_percpu_hash" : "lru_hash"}`,
  },
  {
    errno: errno.ENOSPC,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isTrie,
    hint: ({ map }) => `the map holds ${map?.maxEntries} of ${map?.maxEntries} prefixes: raise maxEntries`,
  },
  {
    errno: errno.EINVAL,
    cmd: writes,
    when: isTrie,
    hint: ({ map }) => `a prefix is longer than the ${8 * ((map?.keySize ?? 0) - 4)} bits that the key's data have`,
  },
  {
    errno: errno.E2BIG,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isKeyless,
    hint: ({ map }) =>
      `the map holds ${map?.maxEntries} of ${map?.maxEntries} values: pop some, or push with overwrite`,
  },
  {
    errno: errno.E2BIG,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isArray,
    hint: ({ map }) => `the array has ${map?.maxEntries} elems: the last index is ${(map?.maxEntries ?? 0) - 1}`,
  },
  {
    errno: errno.ENOMEM,
    cmd: elems,
    when: isEmbedded,
    hint: "the kernel's memory is full: create it with a larger maxMemory",
  },
  {
    errno: errno.ENOMEM,
    cmd: elems,
    hint: "the system has no memory for another elem: without BPF_F_NO_PREALLOC a map takes all that it needs at create",
  },
  {
    errno: errno.ENXIO,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isEmbedded,
    hint: "all CPUs belong to other threads: create the kernel with more possibleCpus",
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: bpf.BPF_MAP_UPDATE_ELEM,
    when: isPerCpu,
    hint: "on Linux only programs add to one CPU's value: set the values of all CPUs, or use a map that is not per-CPU",
  },
  {
    errno: errno.EINVAL,
    cmd: bpf.BPF_MAP_DELETE_ELEM,
    when: isArray,
    hint: "elems of an array cannot be deleted: set them to zero",
  },
  { errno: errno.EPERM, cmd: writes, hint: "the fd is read-only (BPF_F_RDONLY), or the map is frozen" },
  {
    errno: errno.EPERM,
    cmd: bpf.BPF_MAP_FREEZE,
    hint: "the map is frozen already, or the fd is read-only (BPF_F_RDONLY)",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: bpf.BPF_MAP_LOOKUP_AND_DELETE_ELEM,
    hint: "this kernel takes values out of queues and stacks only: of hashes from Linux 5.14 on",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: bpf.BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    hint: "the map type has no batch of this kind in this kernel: hashes have it from Linux 5.6 on",
  },
  {
    errno: errno.EBUSY,
    cmd: bpf.BPF_MAP_FREEZE,
    hint: "the map is mapped to write, or another thread is writing to it: unmap it, or try again",
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: bpf.BPF_MAP_LOOKUP_ELEM,
    when: isKeyless,
    hint: "Linux tells nobody how many values a queue or a stack holds: count what you push and pop",
  },
  { errno: errno.EPERM, cmd: reads, hint: "the fd is write-only (BPF_F_WRONLY)" },
  {
    errno: errno.EBADF,
    cmd: elems,
    when: isLinuxOnly,
    hint: "the map is closed, or the fd in the key or the value is not of such an object as the map type is about",
  },
  {
    errno: errno.EBADF,
    cmd: [...elems, bpf.BPF_MAP_FREEZE, bpf.BPF_OBJ_PIN, bpf.BPF_OBJ_GET_INFO_BY_FD],
    hint: "the map is closed",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: bpf.BPF_MAP_LOOKUP_BATCH,
    hint: "the map type has no batch lookup in this kernel: hash and array have it from Linux 5.6 on, percpu_array from 5.13 on",
  },
  {
    errno: errno.ENOTSUPP,
    cmd: reads,
    when: isLinuxOnly,
    hint: notForUserSpace,
  },
  {
    errno: errno.EOPNOTSUPP,
    cmd: reads,
    when: isLinuxOnly,
    hint: notForUserSpace,
  },
  { errno: errno.ENOENT, cmd: bpf.BPF_OBJ_GET, hint: "nothing is pinned there" },
  {
    errno: errno.ENOTDIR,
    cmd: [bpf.BPF_OBJ_PIN, bpf.BPF_OBJ_GET],
    hint: "a name on the way is that of something pinned, not of a directory",
  },
  {
    errno: errno.ENAMETOOLONG,
    cmd: [bpf.BPF_OBJ_PIN, bpf.BPF_OBJ_GET],
    hint: "a name has at most 255 bytes, a path 4095",
  },
  { errno: errno.EPERM, cmd: bpf.BPF_OBJ_GET, when: isEmbedded, hint: 'a pinned name has no "."' },
  {
    errno: errno.EPERM,
    cmd: bpf.BPF_OBJ_GET,
    hint: 'opening what is pinned needs root or CAP_BPF, or the name has a "."',
  },
  { errno: errno.EACCES, cmd: bpf.BPF_OBJ_GET, hint: "what is there is not a BPF object, or may not be opened" },
  {
    errno: errno.EEXIST,
    cmd: bpf.BPF_OBJ_PIN,
    hint: "something is pinned there already: unlink it, or choose another name",
  },
  {
    errno: errno.EPERM,
    cmd: bpf.BPF_OBJ_PIN,
    when: isEmbedded,
    hint: 'the embedded kernel has names in /sys/fs/bpf only, and none with a "."',
  },
  {
    errno: errno.EPERM,
    cmd: bpf.BPF_OBJ_PIN,
    hint: 'the directory is not in a bpffs (mount -t bpf bpf /sys/fs/bpf), or the name has a "."',
  },
  {
    errno: errno.ENOENT,
    cmd: bpf.BPF_OBJ_PIN,
    when: isEmbedded,
    hint: "its directory is not there: kernel.mkdir makes one in /sys/fs/bpf, which is where the embedded kernel has names",
  },
  {
    errno: errno.ENOENT,
    cmd: bpf.BPF_OBJ_PIN,
    hint: "its directory is not there, or it is /sys/fs/bpf and no bpffs is mounted at it (mount -t bpf bpf /sys/fs/bpf)",
  },
  { errno: errno.ENOENT, cmd: bpf.BPF_MAP_GET_FD_BY_ID, hint: "no map has this id (any more)" },
  { errno: errno.EPERM, cmd: bpf.BPF_MAP_GET_FD_BY_ID, hint: "opening by id needs root or CAP_SYS_ADMIN" },
];

/** The hint for a failure, if there is one. */
export function hintFor(failure: Failure): string | undefined {
  const row = hints.find(
    ({ errno: wanted, cmd, when }) =>
      wanted === failure.errno &&
      (typeof cmd === "number" ? cmd === failure.cmd : cmd.includes(failure.cmd)) &&
      (when === undefined || when(failure)),
  );
  return typeof row?.hint === "function" ? row.hint(failure) : row?.hint;
}
