/**
 * What the hash kinds have in common beside elems by key: elems come and go.
 */
import { KeyedMap } from "./_keyed_map.js";

/** A map whose elems are inserted and deleted one by one, behind HashMap and its kinds. */
export class HtabMap<K, V> extends KeyedMap<K, V> {
  /**
   * Returns the value of a key; if it is not there, inserts this one first.
   *
   * Right when other threads insert or delete the key meanwhile: what it returns is what was in the map, theirs or this one. It is
   * a lookup (BPF_MAP_LOOKUP_ELEM), and for a key that is missing an update with BPF_NOEXIST, until one of them succeeds.
   *
   * @throws {TypeError | RangeError} for a key or value that its codec does not take
   * @throws {BpfError} as `get` and `set`
   */
  getOrInsert(key: K, value: V): V {
    return this.getOrInsertComputed(key, () => value);
  }

  /**
   * The same with a value that is worked out only if it is needed.
   *
   * The function may look at the map, and change it. It is called once at most; when another thread is faster than it, what it
   * returned is dropped.
   *
   * @throws {TypeError | RangeError} for a key or value that its codec does not take
   * @throws {BpfError} as `get` and `set`; and what the function throws
   */
  getOrInsertComputed(key: K, compute: (key: K) => V): V {
    const found = this.get(key);
    if (found !== undefined) return found;
    const value = compute(key);
    while (!this.set(key, value, { mode: "create" })) {
      const other = this.get(key);
      if (other !== undefined) return other;
    }
    return value;
  }

  /**
   * Deletes a key.
   *
   * Kernel name: BPF_MAP_DELETE_ELEM.
   *
   * @returns Whether it was there.
   * @throws {BpfError} EPERM when the fd is read-only or the map frozen; EBADF when the map is closed
   */
  delete(key: K): boolean {
    return this.remove(key);
  }

  /**
   * Takes a key out: deletes it, and returns the value that it had, in one step.
   *
   * Kernel name: BPF_MAP_LOOKUP_AND_DELETE_ELEM. Since Linux 5.14.
   *
   * @returns The value, or `undefined` when the key is not there (ENOENT).
   * @throws {TypeError | RangeError} for a key that the codec does not take
   * @throws {BpfError} EPERM when the fd may not both read and write, or the map is frozen; EBADF when the map is closed
   */
  take(key: K): V | undefined {
    return this.takeOut(key);
  }

  /**
   * Deletes many keys, in their order. All are looked at before the first is deleted.
   *
   * @returns How many were there.
   * @throws {TypeError | RangeError} for a key that the codec does not take; nothing was deleted
   * @throws {BpfError} as `delete`. The message and `details.done` say how many were deleted before
   */
  deleteMany(keys: Iterable<K> | readonly K[]): number {
    return this.removeMany(keys);
  }

  /** Deletes all keys that are there when it begins. */
  clear(): void {
    for (const key of this.keys()) this.remove(key);
  }

  /**
   * Empties the map, and hands out what was in it: a list of keys and values for each step of the loop.
   *
   * Kernel name: BPF_MAP_LOOKUP_AND_DELETE_BATCH. An elem is looked up and deleted in one step: so nothing is lost or comes twice
   * when several threads drain, and what another thread changes is either in here or stays. A loop that is left early leaves the
   * rest in the map. What is inserted meanwhile may be met or stay. As lists that are whole, since what was taken is gone:
   * `[...map.drain()].flat()` is all of it.
   *
   * @throws {BpfError} EPERM when the fd may not both read and write, or the map is frozen; EBADF when the map is closed
   */
  drain(): IterableIterator<[K, V][], void> {
    return this.takeBatches();
  }
}
