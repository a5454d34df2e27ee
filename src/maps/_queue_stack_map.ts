/**
 * What queues and stacks have in common: all but which value comes out first.
 */
import { BPF_EXIST, BPF_MAP_LOOKUP_AND_DELETE_ELEM, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM } from "../uapi/bpf.js";
import { EBADF, ENOENT, EOPNOTSUPP } from "../uapi/errno.js";
import { KeylessMap } from "./_keyless_map.js";

/** How `push` treats a map that is full. */
export interface PushOptions {
  /** Lets the oldest value go when there is no room: BPF_EXIST. */
  readonly overwrite?: boolean;
}

/** A queue or a stack, behind QueueMap and StackMap. */
export abstract class QueueStackMap<V> extends KeylessMap<V> {
  /**
   * Adds a value.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @throws {TypeError | RangeError} for a value that the codec does not take
   * @throws {BpfError} E2BIG when the map is full, unless the oldest may go; EPERM when the fd is read-only or the map
   * frozen; EBADF when the map is closed
   */
  push(value: V, options?: PushOptions): void {
    const ret = this.updateElem(value, options?.overwrite === true ? BPF_EXIST : 0);
    if (ret !== 0) throw this.mapFd.failure("push a value to", ret, BPF_MAP_UPDATE_ELEM);
  }

  /**
   * Takes out the value that is next, in one step.
   *
   * Kernel name: BPF_MAP_LOOKUP_AND_DELETE_ELEM.
   *
   * @returns The value, or `undefined` when the map is empty (ENOENT).
   * @throws {BpfError} EPERM when the fd may not both read and write, or the map is frozen; EBADF when the map is closed
   */
  pop(): V | undefined {
    return this.#take(this.popElem(), "pop a value from", BPF_MAP_LOOKUP_AND_DELETE_ELEM);
  }

  /**
   * Returns the value that is next, and leaves it there.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM.
   *
   * @returns The value, or `undefined` when the map is empty (ENOENT).
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed
   */
  peek(): V | undefined {
    return this.#take(this.lookupElem(), "peek into", BPF_MAP_LOOKUP_ELEM);
  }

  /**
   * How many values the map holds. Only on the embedded kernel: Linux tells nobody.
   *
   * While other threads push and pop, it is how many there were at one moment of the call.
   *
   * @throws {BpfError} EOPNOTSUPP on Linux; EPERM when the fd is write-only; EBADF when the map is closed
   */
  count(): number {
    const { kernel, fd } = this.mapFd;
    const ret = kernel.count?.(fd) ?? (this.mapFd.isOpen ? -EOPNOTSUPP : -EBADF);
    if (ret < 0) throw this.mapFd.failure("count the values of", ret, BPF_MAP_LOOKUP_ELEM);
    return ret;
  }

  /**
   * How full the map is, from 0 to 1: `count()` of `maxEntries`.
   *
   * @throws {BpfError} as `count`
   */
  pressure(): number {
    return this.count() / this.maxEntries;
  }

  #take(ret: number, verb: string, cmd: number): V | undefined {
    if (ret === 0) return this.found();
    if (ret === -ENOENT) return undefined;
    throw this.mapFd.failure(verb, ret, cmd);
  }
}
