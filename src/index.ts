/**
 * tsbpf: BPF maps for TypeScript. This entry loads in browsers too; the Linux kernel is in "tsbpf/linux".
 */
export {
  array,
  be,
  bool,
  bytes,
  cstring,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  ipv4,
  ipv6,
  mac,
  prefix4,
  prefix6,
  spinLock,
  struct,
  timer,
  u16,
  u32,
  u64,
  u8,
} from "./codec/index.js";
export type { Codec, Lane, Of, StructFields, StructOptions } from "./codec/index.js";
export { BpfError, type BpfErrorDetails } from "./kernels/error.js";
export { EmbeddedKernel, ImageError, KernelBug } from "./kernels/embedded/index.js";
export type {
  EmbeddedKernelOptions,
  KernelHandle,
  KernelUsage,
  PinnedName,
  WatchedWorker,
} from "./kernels/embedded/index.js";
export type {
  DirectMap,
  DirectOptions,
  DirectRing,
  DirectoryEntry,
  Kernel,
  MmapOptions,
  ReadableOptions,
  UserBuffer,
} from "./kernels/kernel.js";
export type { MapInfo } from "./kernels/syscalls.js";
export type { InnerOpener, OuterOptions } from "./maps/_map_in_map.js";
export type { GetOptions, SetOptions } from "./maps/_keyed_map.js";
export type { MapDifference } from "./maps/_map_fd.js";
export type {
  ArrayOptions,
  Codecs,
  CreateOptions,
  LruOptions,
  MapAccess,
  MapOptions,
  OpenOptions,
  ValueCodec,
  ValueOptions,
} from "./maps/_options.js";
export type { PushOptions } from "./maps/_queue_stack_map.js";
export type { TypedMap } from "./maps/_typed_map.js";
export { Arena, type ArenaOpenOptions, type ArenaOptions } from "./maps/arena.js";
export { ArrayMap } from "./maps/array.js";
export { ArrayOfMaps } from "./maps/array_of_maps.js";
export { BloomFilter, type BloomFilterOptions } from "./maps/bloom_filter.js";
export { DevMap, DevMapHash, type DevMapOptions, type Device, type DeviceOptions } from "./maps/devmap.js";
export { GenericMap, type GenericOptions } from "./maps/generic_map.js";
export { HashMap } from "./maps/hash.js";
export { HashOfMaps, type KeyCodec } from "./maps/hash_of_maps.js";
export { LpmTrie } from "./maps/lpm_trie.js";
export { LruHashMap } from "./maps/lru_hash.js";
export { LruPerCpuHashMap } from "./maps/lru_percpu_hash.js";
export { PerCpu, type Summable } from "./maps/percpu.js";
export { PerCpuArray } from "./maps/percpu_array.js";
export { PerCpuHashMap } from "./maps/percpu_hash.js";
export {
  PerfEventArray,
  PerfEvents,
  type PerfEvent,
  type PerfEventArrayOptions,
  type PerfEventsOptions,
} from "./maps/perf_event_array.js";
export { ProgramArray } from "./maps/prog_array.js";
export { QueueMap } from "./maps/queue.js";
export { StackMap } from "./maps/stack.js";
export { RingBuffer } from "./maps/ring_buffer.js";
export type { RecordCodec, RingOptions, RingReadOptions, RingRecord } from "./maps/_ring.js";
export { UserRingBuffer } from "./maps/user_ring_buffer.js";
