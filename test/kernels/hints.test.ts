/**
 * Hints: a case for each row of the table, most of them failures that really happen on a kernel.
 */
import { tmpdir } from "node:os";
import {
  Arena,
  ArrayMap,
  ArrayOfMaps,
  BpfError,
  EmbeddedKernel,
  GenericMap,
  HashMap,
  HashOfMaps,
  type Kernel,
  LpmTrie,
  LruHashMap,
  PerCpuArray,
  PerCpuHashMap,
  ProgramArray,
  QueueMap,
  UserRingBuffer,
  bytes,
  prefix4,
  spinLock,
  struct,
  u32,
  u64,
} from "tsbpf";
import { btfLoad } from "tsbpf/btf";
import * as uapi from "tsbpf/uapi";
import { beforeAll, describe, expect, it } from "vitest";
import { type Failure, hintFor, hints } from "../../src/kernels/hints.js";
import { mapGetFdById } from "../../src/kernels/syscalls.js";
import { forEachKernel } from "../kernels.js";
import { thrownBy, useBpffs } from "../maps/_ways.js";

const { BPF_MAP_CREATE, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_LOOKUP_ELEM, BPF_MAP_LOOKUP_BATCH } = uapi;
const { BPF_OBJ_GET, BPF_OBJ_PIN, BPF_OBJ_GET_INFO_BY_FD, BPF_MAP_GET_FD_BY_ID } = uapi;
const {
  EINVAL,
  E2BIG,
  EPERM,
  ENOMEM,
  ENOENT,
  EBADF,
  EMFILE,
  ENXIO,
  EACCES,
  EEXIST,
  EOPNOTSUPP,
  ENOTSUPP,
  ENOTDIR,
  ENAMETOOLONG,
} = uapi;

type Known = NonNullable<Failure["map"]>;

const of = (type: number, known: Partial<Known> = {}): { map: Known } => ({
  map: { type, keySize: 4, valueSize: 8, maxEntries: 4, mapFlags: 0, name: "m", ...known },
});
const hash = (known?: Partial<Known>): { map: Known } => of(uapi.BPF_MAP_TYPE_HASH, known);
const array = (known?: Partial<Known>): { map: Known } => of(uapi.BPF_MAP_TYPE_ARRAY, known);
const ring = (maxEntries = 4096): { map: Known } =>
  of(uapi.BPF_MAP_TYPE_RINGBUF, { keySize: 0, valueSize: 0, maxEntries });
const arena = (maxEntries: number): { map: Known } =>
  of(uapi.BPF_MAP_TYPE_ARENA, { keySize: 0, valueSize: 0, maxEntries, mapFlags: uapi.BPF_F_MMAPABLE });
const userRing = of(uapi.BPF_MAP_TYPE_USER_RINGBUF, { keySize: 0, valueSize: 0, maxEntries: 4096 });
const lru = (known?: Partial<Known>): { map: Known } => of(uapi.BPF_MAP_TYPE_LRU_HASH, known);
const perCpuHash = (known?: Partial<Known>): { map: Known } => of(uapi.BPF_MAP_TYPE_PERCPU_HASH, known);
const trie = (known?: Partial<Known>): { map: Known } =>
  of(uapi.BPF_MAP_TYPE_LPM_TRIE, { keySize: 8, mapFlags: 1, ...known });
const queue = (known?: Partial<Known>): { map: Known } => of(uapi.BPF_MAP_TYPE_QUEUE, { keySize: 0, ...known });
const perCpuArray = (known?: Partial<Known>): { map: Known } => of(uapi.BPF_MAP_TYPE_PERCPU_ARRAY, known);

const outer = (known?: Partial<Known>): { map: Known } =>
  of(uapi.BPF_MAP_TYPE_HASH_OF_MAPS, { valueSize: 4, ...known });
const programs = (known?: Partial<Known>): { map: Known } =>
  of(uapi.BPF_MAP_TYPE_PROG_ARRAY, { valueSize: 4, ...known });
const events = of(uapi.BPF_MAP_TYPE_PERF_EVENT_ARRAY, { valueSize: 4, maxEntries: 1 });
const linuxType = (type: number): { map: Known } => of(type, { valueSize: 4 });

/** A value with a lock. */
const account = struct({ sum: u64, lock: spinLock });

/** The maps of the real failures are as those of the made-up ones. */
const m = { name: "m", key: u32, value: u64, maxEntries: 4 };
const huge = { value: bytes(2 ** 30), maxEntries: 2 ** 31 };

interface Case {
  readonly hint: string;
  readonly errno: number;
  readonly cmd: number;
  readonly map?: Known;
  readonly inner?: Known;
  readonly template?: Known;
  /** The kernel that has this failure; either, unless told. */
  readonly on?: "embedded" | "linux";
  /** Makes it happen; without it the failure is made up. */
  readonly real?: (kernel: Kernel, bpffs: string) => unknown;
}

const closed = (kernel: Kernel): HashMap<number, bigint> => {
  const map = HashMap.create(kernel, m);
  map.close();
  return map;
};

/** A map of maps that holds `m`s. */
const outerOf = (kernel: Kernel, option: object = {}): HashOfMaps<number, HashMap<number, bigint>> =>
  HashOfMaps.create(kernel, { name: "m", key: u32, maxEntries: 4, inner: () => HashMap.create(kernel, m), ...option });

const cases: readonly Case[] = [
  {
    hint: "maps of type cpumap are about objects of the Linux kernel: create it with LinuxKernel",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...linuxType(uapi.BPF_MAP_TYPE_CPUMAP),
    on: "embedded",
    real: (kernel) => GenericMap.create(kernel, { type: "cpumap", keySize: 4, valueSize: 4, maxEntries: 1 }),
  },
  {
    hint: "the map is closed, or the fd is not that of a ring buffer, which an elem is in the embedded kernel",
    errno: EBADF,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...events,
    on: "embedded",
    real(kernel) {
      using map = GenericMap.create(kernel, { type: "perf_event_array", keySize: 4, valueSize: 4, maxEntries: 1 });
      map.set(new Uint8Array(4), new Uint8Array(4));
    },
  },
  {
    hint: "the map is closed, or the fd is not that of a perf event",
    errno: EBADF,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...events,
    on: "linux",
    real(kernel) {
      using map = GenericMap.create(kernel, { type: "perf_event_array", keySize: 4, valueSize: 4, maxEntries: 1 });
      map.set(new Uint8Array(4), new Uint8Array(4));
    },
  },
  {
    hint: "a storage has keys of 4 bytes, BPF_F_NO_PREALLOC, maxEntries 0, and BTF of its value",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...linuxType(uapi.BPF_MAP_TYPE_SK_STORAGE),
    on: "linux",
    real: (kernel) => GenericMap.create(kernel, { type: "sk_storage", keySize: 4, valueSize: 8, maxEntries: 0 }),
  },
  {
    hint: "maps of maps do not hold maps of maps: there is one level only",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...outer(),
    inner: outer().map,
    real(kernel) {
      using inner = outerOf(kernel);
      HashOfMaps.create(kernel, { key: u32, maxEntries: 4, inner });
    },
  },
  {
    hint: "maps of type prog_array cannot go into a map of maps",
    errno: ENOTSUPP,
    cmd: BPF_MAP_CREATE,
    ...outer(),
    inner: programs().map,
    real(kernel) {
      using inner = ProgramArray.create(kernel, { maxEntries: 1 });
      HashOfMaps.create(kernel, { key: u32, maxEntries: 4, inner });
    },
  },
  {
    hint: "a map that is for one program alone (excl_prog_hash) cannot go into a map of maps",
    errno: ENOTSUPP,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...outer(),
    inner: hash().map,
  },
  {
    hint: "the inner map is closed, or the map of maps itself",
    errno: EBADF,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...outer(),
    real(kernel) {
      using map = outerOf(kernel);
      map.set(1, closed(kernel));
    },
  },
  {
    hint: "the inner map is closed, or the map of maps itself",
    errno: EBADF,
    cmd: BPF_MAP_CREATE,
    ...outer(),
    real: (kernel) => outerOf(kernel, { inner: closed(kernel) }),
  },
  {
    hint: "the map does not fit, all that are in there must be alike: it is of type array, and not hash",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...outer(),
    inner: array().map,
    template: hash().map,
  },
  {
    hint: "the map does not fit, all that are in there must be alike: its valueSize is 4, and not 8",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...outer(),
    inner: hash({ valueSize: 4, maxEntries: 9 }).map,
    template: hash().map,
    real(kernel) {
      using map = outerOf(kernel);
      using inner = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 9 });
      (map as unknown as HashOfMaps<number, typeof inner>).set(1, inner);
    },
  },
  {
    hint: "the map does not fit, all that are in there must be alike: its maxEntries is 9, and not 4",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...of(uapi.BPF_MAP_TYPE_ARRAY_OF_MAPS, { valueSize: 4 }),
    inner: array({ maxEntries: 9 }).map,
    template: array().map,
    real(kernel) {
      using map = ArrayOfMaps.create(kernel, { maxEntries: 2, inner: () => ArrayMap.create(kernel, m) });
      using inner = ArrayMap.create(kernel, { ...m, maxEntries: 9 });
      map.set(1, inner);
    },
  },
  {
    hint: "the map does not fit: all that are in there have one type, keySize, valueSize, mapFlags, and arrays one maxEntries",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...outer(),
    inner: hash().map,
    template: hash({ maxEntries: 9 }).map,
  },
  {
    hint: "the map holds 1 of 1 maps: raise maxEntries",
    errno: E2BIG,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...outer({ maxEntries: 1 }),
    real(kernel) {
      using map = outerOf(kernel, { maxEntries: 1 });
      using inner = HashMap.create(kernel, m);
      for (const key of [1, 2]) map.set(key, inner);
    },
  },
  {
    hint: "the map, or the program's fd, is closed",
    errno: EBADF,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...programs(),
    real(kernel) {
      using map = ProgramArray.create(kernel, { maxEntries: 4 });
      map.set(1, -1);
    },
  },
  {
    hint: "the fd is not a program's, or the program is of another type than those in there",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...programs(),
    on: "linux",
    real(kernel) {
      using map = ProgramArray.create(kernel, { maxEntries: 4 });
      map.set(1, map.fd);
    },
  },
  {
    hint: "the map is closed, or the fd in the key or the value is not of such an object as the map type is about",
    errno: EBADF,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...linuxType(uapi.BPF_MAP_TYPE_CGROUP_ARRAY),
    on: "linux",
    real(kernel) {
      using map = GenericMap.create(kernel, { type: "cgroup_array", keySize: 4, valueSize: 4, maxEntries: 1 });
      map.set(new Uint8Array(4), new Uint8Array(Int32Array.of(map.fd).buffer));
    },
  },
  {
    hint: "elems of this map type are for programs: user space cannot read them",
    errno: ENOTSUPP,
    cmd: BPF_MAP_LOOKUP_ELEM,
    ...linuxType(uapi.BPF_MAP_TYPE_CGROUP_ARRAY),
    on: "linux",
    real(kernel) {
      using map = GenericMap.create(kernel, { type: "cgroup_array", keySize: 4, valueSize: 4, maxEntries: 1 });
      map.get(new Uint8Array(4));
    },
  },
  {
    hint: "elems of this map type are for programs: user space cannot read them",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_LOOKUP_ELEM,
    ...linuxType(uapi.BPF_MAP_TYPE_XSKMAP),
    on: "linux",
    real(kernel) {
      using map = GenericMap.create(kernel, { type: "xskmap", keySize: 4, valueSize: 4, maxEntries: 1 });
      map.get(new Uint8Array(4));
    },
  },
  {
    hint: "maxEntries is 0: it must be at least 1",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ maxEntries: 0 }),
    real: (kernel) => HashMap.create(kernel, { ...m, maxEntries: 0 }),
  },
  {
    hint: 'a name has at most 15 letters, digits, "_" and "."',
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ name: "sixteen_letters_" }),
    real: (kernel) => HashMap.create(kernel, { ...m, name: "sixteen_letters_" }),
  },
  {
    hint: "the size of a ring is a power of two and at least 4096, and this one is 5000",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...ring(5000),
  },
  {
    hint: "on Linux only programs write to ring buffers",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...ring(),
    on: "linux",
  },
  {
    hint: "an arena wants BPF_F_MMAPABLE, and an address that is a multiple of 4096",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...arena(4),
    real: (kernel) => Arena.create(kernel, { name: "m", pages: 4, address: 8n }),
  },
  {
    hint: "an arena has at most 1048576 pages (4 GiB), and this one has 1048577",
    errno: E2BIG,
    cmd: BPF_MAP_CREATE,
    ...arena(1048577),
    real: (kernel) => Arena.create(kernel, { name: "m", pages: 1048577 }),
  },
  {
    hint: "from its address on, the arena crosses a multiple of 4 GiB: choose a lower address",
    errno: uapi.ERANGE,
    cmd: BPF_MAP_CREATE,
    ...arena(4),
    real: (kernel) => Arena.create(kernel, { name: "m", pages: 4, address: 2n ** 32n - 4096n }),
  },
  {
    hint: "this Linux has no arenas on this processor: x86-64 has them from 6.9 on, arm64 from 6.10 on",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_CREATE,
    ...arena(4),
  },
  {
    hint: "on Linux only programs take records out of user ring buffers",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...userRing,
    on: "linux",
    real(kernel) {
      using map = UserRingBuffer.create(kernel, { name: "m", size: 4096 });
      map.drain();
    },
  },
  {
    hint: "what was written there is no record, or the position behind it is wrong: nothing more comes out of the ring",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...userRing,
    on: "embedded",
    real(kernel) {
      using map = UserRingBuffer.create(kernel, { name: "m", size: 4096 });
      using position = kernel.mmap(map.fd, 8, { offset: 4096, writable: true });
      position.bytes[0] = 4;
      map.drain();
    },
  },
  {
    hint: "the record was submitted or discarded already, or another thread has reserved it",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...ring(),
    on: "embedded",
  },
  {
    hint: "the key of an array is its index, a u32: keySize is 8, and must be 4",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...array({ keySize: 8 }),
  },
  {
    hint: "per-CPU maps do not take BPF_F_NUMA_NODE",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...perCpuHash({ mapFlags: uapi.BPF_F_NUMA_NODE }),
    real: (kernel) => PerCpuHashMap.create(kernel, { ...m, numaNode: 0 }),
  },
  {
    hint: "BPF_F_RDONLY and BPF_F_WRONLY exclude each other",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...array({ mapFlags: uapi.BPF_F_RDONLY | uapi.BPF_F_WRONLY }),
    real: (kernel) => ArrayMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_RDONLY | uapi.BPF_F_WRONLY }),
  },
  {
    hint: "exact needs the embedded kernel, and an fd that may read and write: on Linux an LRU hash lets go of what was not used for long",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_CREATE,
    ...lru(),
    on: "linux",
    real: (kernel) => LruHashMap.create(kernel, { ...m, exact: true }),
  },
  {
    hint: "only LRU hashes take BPF_F_NO_COMMON_LRU",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ mapFlags: uapi.BPF_F_NO_COMMON_LRU }),
    real: (kernel) => HashMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_NO_COMMON_LRU }),
  },
  {
    hint: "BPF_F_NO_COMMON_LRU and BPF_F_NUMA_NODE exclude each other: the lists are of CPUs, wherever these are",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...lru({ mapFlags: uapi.BPF_F_NO_COMMON_LRU | uapi.BPF_F_NUMA_NODE }),
    real: (kernel) => LruHashMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_NO_COMMON_LRU, numaNode: 0 }),
  },
  {
    hint: "LRU hashes are always preallocated: they do not take BPF_F_NO_PREALLOC",
    errno: ENOTSUPP,
    cmd: BPF_MAP_CREATE,
    ...lru({ mapFlags: uapi.BPF_F_NO_PREALLOC }),
    real: (kernel) => LruHashMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_NO_PREALLOC }),
  },
  {
    hint: "arrays are always preallocated: they do not take BPF_F_NO_PREALLOC",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...perCpuArray({ mapFlags: uapi.BPF_F_NO_PREALLOC }),
    real: (kernel) => PerCpuArray.create(kernel, { ...m, mapFlags: uapi.BPF_F_NO_PREALLOC }),
  },
  {
    hint: "only arrays and arenas take BPF_F_MMAPABLE",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ mapFlags: uapi.BPF_F_MMAPABLE }),
    real: (kernel) => HashMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_MMAPABLE }),
  },
  {
    hint: "there may be no NUMA node of this number, or the map type takes none",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ mapFlags: uapi.BPF_F_NUMA_NODE }),
    real: (kernel) => HashMap.create(kernel, { ...m, numaNode: 1000 }),
  },
  {
    hint: "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ mapFlags: uapi.BPF_F_RDONLY_PROG | uapi.BPF_F_WRONLY_PROG }),
    real: (kernel) => HashMap.create(kernel, { ...m, programAccess: "read", mapFlags: uapi.BPF_F_WRONLY_PROG }),
  },
  {
    hint: "hash maps do not take BPF_F_CLONE",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ mapFlags: uapi.BPF_F_CLONE }),
    real: (kernel) => HashMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_CLONE }),
  },
  {
    hint: "array maps do not take BPF_F_ZERO_SEED and 0x40000000",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...array({ mapFlags: uapi.BPF_F_ZERO_SEED | 0x40000000 }),
    real: (kernel) => ArrayMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_ZERO_SEED | 0x40000000 }),
  },
  {
    hint: "valueSize is 0: it must be at least 1",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ valueSize: 0 }),
  },
  {
    hint: "keySize is 0: it must be at least 1",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...hash({ keySize: 0 }),
  },
  {
    hint: "a size, a flag, or the combination of flags is not one that the map type takes",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...trie({ keySize: 8, valueSize: 2 ** 31 }),
  },
  {
    hint: "the system has no memory for another elem: without BPF_F_NO_PREALLOC a map takes all that it needs at create",
    errno: ENOMEM,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...hash({ mapFlags: uapi.BPF_F_NO_PREALLOC }),
    on: "linux",
  },
  {
    hint: "this kernel takes values out of queues and stacks only: of hashes from Linux 5.14 on",
    errno: ENOTSUPP,
    cmd: uapi.BPF_MAP_LOOKUP_AND_DELETE_ELEM,
    ...hash(),
    on: "linux",
  },
  {
    hint: "the map type has no batch of this kind in this kernel: hashes have it from Linux 5.6 on",
    errno: ENOTSUPP,
    cmd: uapi.BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    ...hash(),
    on: "linux",
  },
  {
    hint: "creating maps needs root or CAP_BPF; without it, EmbeddedKernel needs no rights",
    errno: EPERM,
    cmd: BPF_MAP_CREATE,
    ...hash(),
    on: "linux",
  },
  {
    hint: "a per-CPU value has at most 32768 bytes, and this one has 32769",
    errno: E2BIG,
    cmd: BPF_MAP_CREATE,
    ...perCpuArray({ valueSize: 32769 }),
    real: (kernel) => PerCpuArray.create(kernel, { ...m, value: bytes(32769) }),
  },
  {
    hint: "the key and the value together, or maxEntries, are more than the map type holds",
    errno: E2BIG,
    cmd: BPF_MAP_CREATE,
    ...hash({ valueSize: 2 ** 22 }),
    real: (kernel) => HashMap.create(kernel, { ...m, value: bytes(2 ** 22) }),
  },
  {
    hint: "the kernel's memory is too small for it: create the kernel with a larger maxMemory, or lower maxEntries",
    errno: ENOMEM,
    cmd: BPF_MAP_CREATE,
    ...array({ valueSize: 2 ** 30, maxEntries: 2 ** 31 }),
    on: "embedded",
    real: (kernel) => ArrayMap.create(kernel, huge),
  },
  {
    hint: "the system has not as much memory: lower maxEntries",
    errno: ENOMEM,
    cmd: BPF_MAP_CREATE,
    ...array({ valueSize: 2 ** 30, maxEntries: 2 ** 31 }),
    on: "linux",
    // 2 EiB: refused before anything is allocated.
    real: (kernel) => ArrayMap.create(kernel, huge),
  },
  {
    hint: "too many fds are open: close maps that are not used",
    errno: EMFILE,
    cmd: BPF_MAP_GET_FD_BY_ID,
    on: "embedded",
    real(kernel) {
      using map = HashMap.create(kernel, m);
      const fds: number[] = [];
      for (let fd = 0; fd >= 0;) {
        fd = mapGetFdById(kernel, map.id);
        if (fd >= 0) fds.push(fd);
      }
      try {
        HashMap.fromId(kernel, map.id, m);
      } finally {
        for (const fd of fds) kernel.close(fd);
      }
    },
  },
  {
    hint: "the map holds 4 of 4 elems: raise maxEntries or use an lru_hash",
    errno: E2BIG,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...hash(),
    real(kernel) {
      using map = HashMap.create(kernel, m);
      for (let key = 0; key < 5; key++) map.set(key, 1n);
    },
  },
  {
    hint: "the map holds 4 of 4 elems: raise maxEntries or use an lru_percpu_hash",
    errno: E2BIG,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...perCpuHash(),
    real(kernel) {
      using map = PerCpuHashMap.create(kernel, m);
      const ones = Array.from({ length: kernel.possibleCpus }, () => 1n);
      for (let key = 0; key < 5; key++) map.set(key, ones);
    },
  },
  {
    hint: "the map holds 4 of 4 prefixes: raise maxEntries",
    errno: uapi.ENOSPC,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...trie(),
    real(kernel) {
      using map = LpmTrie.create(kernel, { ...m, key: prefix4 });
      for (let n = 0; n < 5; n++) map.set(`10.0.0.${n}`, 1n);
    },
  },
  {
    hint: "a prefix is longer than the 32 bits that the key's data have",
    errno: EINVAL,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...trie(),
    real(kernel) {
      using map = LpmTrie.create(kernel, { ...m, key: bytes(8) });
      map.set(Uint8Array.of(33, 0, 0, 0, 10, 0, 0, 0), 1n);
    },
  },
  {
    hint: "the key of an LPM trie has 5 to 260 bytes, a u32 prefixlen first: keySize is 4",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...trie({ keySize: 4 }),
    real: (kernel) => LpmTrie.create(kernel, m),
  },
  {
    hint: "the map holds 4 of 4 values: pop some, or push with overwrite",
    errno: E2BIG,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...queue(),
    real(kernel) {
      using map = QueueMap.create(kernel, { ...m });
      for (let n = 0; n < 5; n++) map.push(1n);
    },
  },
  {
    hint: "this map type has no keys: keySize is 4, and must be 0",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...queue({ keySize: 4 }),
  },
  {
    hint: "queues, stacks and bloom filters are always preallocated: they do not take BPF_F_NO_PREALLOC",
    errno: EINVAL,
    cmd: BPF_MAP_CREATE,
    ...queue({ mapFlags: uapi.BPF_F_NO_PREALLOC }),
    real: (kernel) => QueueMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_NO_PREALLOC }),
  },
  {
    hint: "the array has 4 elems: the last index is 3",
    errno: E2BIG,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...array(),
    real(kernel) {
      using map = ArrayMap.create(kernel, m);
      map.set(4, 1n);
    },
  },
  {
    hint: "the kernel's memory is full: create it with a larger maxMemory",
    errno: ENOMEM,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...hash(),
    on: "embedded",
    real(kernel) {
      const mapFlags = uapi.BPF_F_NO_PREALLOC;
      using map = HashMap.create(kernel, { key: u32, value: bytes(2 ** 21), maxEntries: 1000, mapFlags });
      const value = new Uint8Array(2 ** 21);
      for (let key = 0; key < 1000; key++) map.set(key, value);
    },
  },
  {
    hint: "all CPUs belong to other threads: create the kernel with more possibleCpus",
    errno: ENXIO,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...perCpuArray(),
    on: "embedded",
  },
  {
    hint: "on Linux only programs add to one CPU's value: set the values of all CPUs, or use a map that is not per-CPU",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_UPDATE_ELEM,
    ...perCpuArray(),
    on: "linux",
    real(kernel) {
      using map = PerCpuArray.create(kernel, m);
      map.add(0, 1n);
    },
  },
  {
    hint: "elems of an array cannot be deleted: set them to zero",
    errno: EINVAL,
    cmd: BPF_MAP_DELETE_ELEM,
    ...array(),
  },
  {
    hint: "the fd is read-only (BPF_F_RDONLY), or the map is frozen",
    errno: EPERM,
    cmd: BPF_MAP_DELETE_ELEM,
    ...hash(),
    real(kernel) {
      using map = HashMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_RDONLY });
      map.delete(1);
    },
  },
  {
    hint: "the map is frozen already, or the fd is read-only (BPF_F_RDONLY)",
    errno: EPERM,
    cmd: uapi.BPF_MAP_FREEZE,
    ...hash(),
    real(kernel) {
      using map = HashMap.create(kernel, m);
      map.freeze();
      map.freeze();
    },
  },
  {
    hint: "the map is mapped to write, or another thread is writing to it: unmap it, or try again",
    errno: uapi.EBUSY,
    cmd: uapi.BPF_MAP_FREEZE,
    ...array(),
    real(kernel) {
      using map = ArrayMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_MMAPABLE });
      using _mapped = (kernel as EmbeddedKernel).mmap(map.fd, 4096, { writable: true });
      map.freeze();
    },
  },
  {
    hint: "a map whose values have a lock, a timer or a pointer of the kernel in them is never frozen",
    errno: ENOTSUPP,
    cmd: uapi.BPF_MAP_FREEZE,
    ...hash({ valueSize: 16 }),
    real(kernel) {
      using map = HashMap.create(kernel, { ...m, value: account });
      map.freeze();
    },
  },
  {
    hint: "values of this map type have no bpf_spin_lock, nor other special fields: hash and array may",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_CREATE,
    ...perCpuArray({ valueSize: 16 }),
    real: (kernel) => PerCpuArray.create(kernel, { ...m, value: account }),
  },
  {
    hint: "values with a bpf_spin_lock are written to by programs: neither BPF_F_RDONLY_PROG nor BPF_F_WRONLY_PROG",
    errno: EACCES,
    cmd: BPF_MAP_CREATE,
    ...hash({ valueSize: 16, mapFlags: uapi.BPF_F_RDONLY_PROG }),
    real: (kernel) => HashMap.create(kernel, { ...m, value: account, mapFlags: uapi.BPF_F_RDONLY_PROG }),
  },
  {
    hint: "lock: true (BPF_F_LOCK) is for maps that were created with a lock in their values: a field that is spinLock",
    errno: EINVAL,
    cmd: BPF_MAP_LOOKUP_ELEM,
    ...hash(),
    real(kernel) {
      using map = HashMap.create(kernel, m);
      map.get(1, { lock: true });
    },
  },
  {
    hint: "loading BTF needs root or CAP_BPF; without it, EmbeddedKernel needs no rights",
    errno: EPERM,
    cmd: uapi.BPF_BTF_LOAD,
  },
  {
    hint: "the BTF breaks a rule: a name that is no identifier, a member beyond its struct, an id that there is not",
    errno: EINVAL,
    cmd: uapi.BPF_BTF_LOAD,
    real: (kernel) => btfLoad(kernel, new Uint8Array(8)),
  },
  {
    hint: "Linux tells nobody how many values a queue or a stack holds: count what you push and pop",
    errno: EOPNOTSUPP,
    cmd: BPF_MAP_LOOKUP_ELEM,
    ...queue(),
    on: "linux",
    real(kernel) {
      using map = QueueMap.create(kernel, { name: "m", value: u64, maxEntries: 4 });
      map.count();
    },
  },
  {
    hint: "the fd is write-only (BPF_F_WRONLY)",
    errno: EPERM,
    cmd: BPF_MAP_LOOKUP_ELEM,
    ...hash(),
    real(kernel) {
      using map = HashMap.create(kernel, { ...m, mapFlags: uapi.BPF_F_WRONLY });
      map.get(1);
    },
  },
  { hint: "the map is closed", errno: EBADF, cmd: BPF_MAP_LOOKUP_ELEM, ...hash(), real: (k) => closed(k).get(1) },
  { hint: "the map is closed", errno: EBADF, cmd: BPF_MAP_LOOKUP_BATCH, ...hash(), real: (k) => [...closed(k)] },
  { hint: "the map is closed", errno: EBADF, cmd: BPF_OBJ_PIN, ...hash(), real: (k, at) => closed(k).pin(`${at}/x`) },
  { hint: "the map is closed", errno: EBADF, cmd: BPF_OBJ_GET_INFO_BY_FD, ...hash(), real: (k) => closed(k).info() },
  {
    hint: "the map type has no batch lookup in this kernel: hash and array have it from Linux 5.6 on, percpu_array from 5.13 on",
    errno: ENOTSUPP,
    cmd: BPF_MAP_LOOKUP_BATCH,
    ...perCpuArray(),
    on: "linux",
  },
  {
    hint: "nothing is pinned there",
    errno: ENOENT,
    cmd: BPF_OBJ_GET,
    real: (kernel, bpffs) => HashMap.open(kernel, `${bpffs}/nothing`, m),
  },
  {
    hint: "a name on the way is that of something pinned, not of a directory",
    errno: ENOTDIR,
    cmd: BPF_OBJ_PIN,
    ...hash(),
    real: (kernel, bpffs) => pinBelow(kernel, `${bpffs}/taken`),
  },
  {
    hint: "a name has at most 255 bytes, a path 4095",
    errno: ENAMETOOLONG,
    cmd: BPF_OBJ_GET,
    real: (kernel, bpffs) => HashMap.open(kernel, `${bpffs}/${"n".repeat(256)}`, m),
  },
  {
    hint: 'a pinned name has no "."',
    errno: EPERM,
    cmd: BPF_OBJ_GET,
    on: "embedded",
    real: (kernel, bpffs) => HashMap.open(kernel, `${bpffs}/a.b`, m),
  },
  {
    hint: 'opening what is pinned needs root or CAP_BPF, or the name has a "."',
    errno: EPERM,
    cmd: BPF_OBJ_GET,
    on: "linux",
    real: (kernel, bpffs) => HashMap.open(kernel, `${bpffs}/a.b`, m),
  },
  {
    hint: "what is there is not a BPF object, or may not be opened",
    errno: EACCES,
    cmd: BPF_OBJ_GET,
    real: (kernel, bpffs) => HashMap.open(kernel, bpffs, m),
  },
  {
    hint: "something is pinned there already: unlink it, or choose another name",
    errno: EEXIST,
    cmd: BPF_OBJ_PIN,
    ...hash(),
    real: (kernel, bpffs) => pinAt(kernel, bpffs),
  },
  {
    hint: 'the embedded kernel has names in /sys/fs/bpf only, and none with a "."',
    errno: EPERM,
    cmd: BPF_OBJ_PIN,
    ...hash(),
    on: "embedded",
    real: (kernel, bpffs) => pinAt(kernel, `${bpffs}/a.b`),
  },
  {
    hint: 'the directory is not in a bpffs (mount -t bpf bpf /sys/fs/bpf), or the name has a "."',
    errno: EPERM,
    cmd: BPF_OBJ_PIN,
    ...hash(),
    on: "linux",
    real: (kernel) => pinAt(kernel, `${tmpdir()}/tsbpf-hints`),
  },
  {
    hint: "its directory is not there: kernel.mkdir makes one in /sys/fs/bpf, which is where the embedded kernel has names",
    errno: ENOENT,
    cmd: BPF_OBJ_PIN,
    ...hash(),
    on: "embedded",
    real: (kernel, bpffs) => pinAt(kernel, `${bpffs}/no/name`),
  },
  {
    hint: "its directory is not there, or it is /sys/fs/bpf and no bpffs is mounted at it (mount -t bpf bpf /sys/fs/bpf)",
    errno: ENOENT,
    cmd: BPF_OBJ_PIN,
    ...hash(),
    on: "linux",
    real: (kernel, bpffs) => pinAt(kernel, `${bpffs}/no/name`),
  },
  {
    hint: "no map has this id (any more)",
    errno: ENOENT,
    cmd: BPF_MAP_GET_FD_BY_ID,
    real: (kernel) => HashMap.fromId(kernel, 0, m),
  },
  {
    hint: "opening by id needs root or CAP_SYS_ADMIN",
    errno: EPERM,
    cmd: BPF_MAP_GET_FD_BY_ID,
    on: "linux",
  },
];

/** Pins a map, and another one as if the first were a directory. */
function pinBelow(kernel: Kernel, path: string): void {
  using map = HashMap.create(kernel, m);
  map.pin(path);
  try {
    map.pin(`${path}/x`);
  } finally {
    kernel.unlink(path);
  }
}

function pinAt(kernel: Kernel, path: string): void {
  using map = HashMap.create(kernel, m);
  map.pin(path);
}

const failureOf = ({ errno, cmd, map, inner, template, on = "linux" }: Case): Failure => ({
  errno,
  cmd,
  map,
  inner,
  template,
  kernel: on,
});

/** The first row that fits. */
function rowOf(failure: Failure): number {
  return hints.findIndex(
    ({ errno, cmd, when }) =>
      errno === failure.errno && [cmd].flat().includes(failure.cmd) && (when === undefined || when(failure)),
  );
}

describe("the table", () => {
  it.each(cases)("$hint", (of) => {
    expect(hintFor(failureOf(of))).toBe(of.hint);
  });

  it("has a case for each row", () => {
    const reached = new Set(cases.map((of) => rowOf(failureOf(of))));
    expect([...hints.keys()].filter((row) => !reached.has(row))).toEqual([]);
  });

  it("has none for what is expected or unknown", () => {
    expect(hintFor({ errno: ENOENT, cmd: BPF_MAP_LOOKUP_ELEM, kernel: "linux", ...hash() })).toBeUndefined();
    expect(hintFor({ errno: EINVAL, cmd: BPF_MAP_UPDATE_ELEM, kernel: "embedded" })).toBeUndefined();
    // What nobody says of the map is not guessed.
    expect(hintFor({ errno: E2BIG, cmd: BPF_MAP_UPDATE_ELEM, kernel: "linux" })).toBeUndefined();
  });

  it("ends no hint with a period, for it stands in parentheses", () => {
    for (const { hint } of cases) expect(hint).toMatch(/[^.]$/);
  });
});

forEachKernel((name, open) => {
  let kernel: Kernel;
  beforeAll(async () => {
    kernel = await open();
  });
  const bpffs = useBpffs(() => kernel);

  for (const { hint, errno, cmd, map, on, real } of cases) {
    if (real === undefined || (on !== undefined && !name.toLowerCase().startsWith(on))) continue;
    it(`${uapi.cmdName(cmd)}: ${hint}`, () => {
      const error = thrownBy(() => real(kernel, bpffs()));
      expect(error).toBeInstanceOf(BpfError);
      expect(error).toMatchObject({ hint, errno: -errno, cmd: uapi.cmdName(cmd) });
      expect(error.message.endsWith(`: ${uapi.cmdName(cmd)} failed with ${uapi.errnoName(errno)} (${hint})`)).toBe(
        true,
      );
      if (map !== undefined) expect((error as BpfError).details["map"]).toMatchObject({ type: map.type });
    });
  }
});

it("BPF_MAP_UPDATE_ELEM: all CPUs belong to other threads", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 1, maxMemory: 2 ** 24 });
  using other = await EmbeddedKernel.attach(kernel.share());
  using map = PerCpuArray.create(kernel, m);
  using same = PerCpuArray.fromId(other, map.id, m);
  map.add(0, 1n);
  expect(thrownBy(() => same.add(0, 1n))).toMatchObject({
    code: "ENXIO",
    hint: "all CPUs belong to other threads: create the kernel with more possibleCpus",
  });
});
