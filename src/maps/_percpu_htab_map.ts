/**
 * What the per-CPU hash kinds have in common: values are lists, and adding is to this thread's own.
 */
import { HtabMap } from "./_htab_map.js";
import type { SetOptions } from "./_keyed_map.js";
import type { PerCpu } from "./percpu.js";

/** A map of keys to a value for each CPU, behind PerCpuHashMap and LruPerCpuHashMap. */
export class PerCpuHtabMap<K, V> extends HtabMap<K, PerCpu<V>> {
  /**
   * Sets the values of a key, a value for each CPU.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @returns `false` when the mode refused it: "create" and the key is there, "replace" and it is not; else `true`.
   * @throws {TypeError | RangeError} for a key or values that the codecs do not take, or not one for each possible CPU
   * @throws {BpfError} E2BIG when a hash is full (an LRU hash never is); ENOMEM; EPERM when the fd is read-only or the map frozen; EBADF when the map is
   * closed
   */
  override set(key: K, values: readonly V[], options?: SetOptions): boolean {
    return super.set(key, values as PerCpu<V>, options);
  }

  /**
   * Sets the values of many keys, a value for each CPU: see `setMany` of HashMap.
   */
  override setMany(entries: Iterable<readonly [K, readonly V[]]>, options?: SetOptions): number {
    return super.setMany(entries as Iterable<[K, PerCpu<V>]>, options);
  }

  /**
   * Adds to the value of a key, on the CPU of this thread: it takes a free one the first time, and keeps it until the
   * kernel is disposed. An elem that is not there starts at zero on all CPUs.
   *
   * Only on the embedded kernel: threads add to values of their own there, as programs do, without waiting for each other.
   *
   * @throws {TypeError} when a value is not made of integers only
   * @throws {BpfError} ENXIO when all CPUs belong to other threads: `possibleCpus` is too small; EOPNOTSUPP on Linux, where
   * only programs can; E2BIG when a hash is full
   */
  add(key: K, delta: V): void {
    this.addTo(key, delta);
  }

  /**
   * Returns the values of a key; if it is not there, inserts these first: see `getOrInsert` of HashMap.
   */
  override getOrInsert(key: K, values: readonly V[]): PerCpu<V> {
    return super.getOrInsert(key, values as PerCpu<V>);
  }

  /**
   * The same with values that are worked out only if they are needed: see `getOrInsertComputed` of HashMap.
   */
  override getOrInsertComputed(key: K, compute: (key: K) => readonly V[]): PerCpu<V> {
    return super.getOrInsertComputed(key, compute as (key: K) => PerCpu<V>);
  }
}
