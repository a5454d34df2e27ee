/**
 * EmbeddedKernel: the door to our own kernel, in WebAssembly, in memory that worker threads share.
 *
 * An instance belongs to the thread that made it (`create`, `attach`, `load`); the kernel itself is the memory.
 */
import { BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_USER_RINGBUF } from "../../uapi/bpf.js";
import { EINVAL, ENOMEM } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import type {
  DirectMap,
  DirectOptions,
  DirectRing,
  DirectoryEntry,
  Kernel,
  MmapOptions,
  ProgramFault,
  ReadableOptions,
  UserBuffer,
} from "../kernel.js";
import { Alarm } from "./alarm.js";
import { FINDING_BYTES, describeFindings } from "./check.js";
import { fdinfoOf, otherFdinfoOf } from "./fdinfo.js";
import { type PinnedName, directoryEntries, pinnedNames } from "./pins.js";
import { openDirect } from "./direct_map.js";
import { Waits, awaitRing, openDirectRing } from "./direct_ring.js";
import {
  type Engine,
  type Instance,
  PATIENCE_MS,
  canShareMemory,
  engineModule,
  instantiate,
  reserveMemory,
} from "./engine.js";
import { faultOf } from "./programs.js";
import { type Extent, checkImage, decodeImage, encodeImage } from "./image.js";
import { KernelBug } from "./kernel_bug.js";
import { giveTask, takeTask, tasksOf } from "./tasks.js";

const PAGE_BYTES = 4096;
const DEFAULT_MEMORY = 2 ** 30;
const MAX_MEMORY = 2 ** 32;
const LEAST_MEMORY = 2 ** 21;
const DEFAULT_CPUS = 8;
const MAX_CPUS = 1024;
const MAX_DEVICES = 2 ** 31 - 1;
const MAX_SLOTS = 256;
/** How long a lock is waited for when a worker's end was told, and how often that is tried. */
const EXIT_PATIENCE_MS = 50;
const EXIT_TRIES = 20;
/** How often an alarm waits for a lock in vain: between two waits it may be told of a worker's end. */
const RING_TRIES = 3;
/** The superblock, and the tables from the fd table on (kernel/super.ts): what lies between belongs to threads, and so to no image. */
const SUPER = PAGE_BYTES;
const FD_TABLE = 0x43000;

/** What a kernel is made with. */
export interface EmbeddedKernelOptions {
  /** CPUs that a per-CPU value has slots for, 1 to 1024; 8 unless told. As many threads can add to per-CPU values at a time. */
  possibleCpus?: number;
  /** Bytes of memory to reserve, 2 MiB to 4 GiB; 1 GiB unless told. Only what is used is taken from the system. */
  maxMemory?: number;
  /**
   * Network devices, which maps of type devmap lead to: their indices are 1, 2 and so on, and 1 is lo. 1 unless told. Nothing is sent to
   * any.
   */
  devices?: number;
  /** False has this thread interpret programs, which is much slower; they are compiled unless told. */
  compile?: boolean;
}

/** A kernel as another thread gets it by postMessage, to `EmbeddedKernel.attach` it. */
export interface KernelHandle {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly possibleCpus: number;
}

/** What `attachWorker` needs of a Node.js Worker. */
export interface WatchedWorker {
  readonly threadId: number;
  once(event: "exit", listener: () => void): unknown;
}

/** What a kernel has in use. */
export interface KernelUsage {
  readonly fds: number;
  readonly maps: number;
  /** Of the memory: maps, pinned names and UserBuffers. */
  readonly bytes: number;
}

/** The embedded kernel. */
export class EmbeddedKernel implements Kernel {
  readonly name = "embedded";
  readonly possibleCpus: number;
  /** Bytes that are reserved: less than was asked for where the system refused that much. */
  readonly maxMemory: number;
  /** Whether other threads can attach. False where SharedArrayBuffer is not to be had. */
  readonly shared: boolean;
  /** This thread's place in the kernel, 1 to 256: what `reap` wants when the thread has ended. */
  readonly slot: number;
  readonly #memory: WebAssembly.Memory;
  readonly #module: WebAssembly.Module;
  readonly #instance: Instance;
  readonly #engine: Engine;
  #open = true;
  readonly #waits = new Waits();
  readonly #alarm = new Alarm(() => this.#ring());
  /** How often in a row an alarm has waited for a lock in vain. */
  #failedRings = 0;
  /** Slots of threads that have ended, and could not be reaped yet. */
  readonly #unreaped = new Set<number>();

  private constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    instance: Instance,
    slot: number,
    possibleCpus: number,
  ) {
    this.#module = module;
    this.#memory = memory;
    this.#instance = instance;
    this.#engine = instance.engine;
    this.slot = slot;
    this.possibleCpus = possibleCpus;
    this.maxMemory = memory.buffer.byteLength;
    this.shared = !(memory.buffer instanceof ArrayBuffer);
    instance.onArm = (delayNs) => this.#alarm.set(delayNs);
    this.#engine.adoptTimers();
  }

  /**
   * Makes a new kernel, without maps.
   *
   * @throws {RangeError} for options out of range
   */
  static async create(options: EmbeddedKernelOptions = {}): Promise<EmbeddedKernel> {
    const possibleCpus = inRange("possibleCpus", options.possibleCpus ?? DEFAULT_CPUS, 1, MAX_CPUS);
    const bytes = inRange("maxMemory", options.maxMemory ?? DEFAULT_MEMORY, LEAST_MEMORY, MAX_MEMORY);
    const devices = inRange("devices", options.devices ?? 1, 1, MAX_DEVICES);
    const { module, memory } = await EmbeddedKernel.#reserve(bytes);
    const task = takeTask(memory);
    const instance = await instantiate(module, memory, task);
    if (options.compile === false) instance.compile = () => 0;
    instance.engine.format(memory.buffer.byteLength / PAGE_BYTES, possibleCpus, randomSeed(), devices);
    return new EmbeddedKernel(module, memory, instance, task, possibleCpus);
  }

  /** Joins a kernel that another thread has shared: the same maps, the same fds. */
  static async attach(handle: KernelHandle): Promise<EmbeddedKernel> {
    const task = takeTask(handle.memory);
    try {
      const instance = await instantiate(handle.module, handle.memory, task);
      return new EmbeddedKernel(handle.module, handle.memory, instance, task, handle.possibleCpus);
    } catch (error) {
      giveTask(handle.memory, task);
      throw error;
    }
  }

  /**
   * Makes a kernel from what `save` gave: the same maps, pinned names and fds, in as much memory.
   *
   * @throws {ImageError} when the image is damaged, or not one
   */
  static async load(image: Uint8Array): Promise<EmbeddedKernel> {
    const { pages, possibleCpus } = checkImage(image);
    const bytes = pages * PAGE_BYTES;
    const { module, memory } = await EmbeddedKernel.#reserve(bytes);
    if (memory.buffer.byteLength !== bytes) {
      throw new RangeError(`Cannot reserve the ${bytes} bytes of memory that the image's kernel has`);
    }
    decodeImage(image, new Uint8Array(memory.buffer));
    const task = takeTask(memory);
    const instance = await instantiate(module, memory, task);
    instance.engine.revive();
    return new EmbeddedKernel(module, memory, instance, task, possibleCpus);
  }

  static async #reserve(bytes: number): Promise<{ module: WebAssembly.Module; memory: WebAssembly.Memory }> {
    const shared = canShareMemory();
    if (!shared)
      warnOnce(
        "SharedArrayBuffer is not to be had here (a page must be cross-origin isolated): the kernel runs on memory that no other thread can attach to",
      );
    const module = await engineModule(shared);
    const memory = reserveMemory(bytes, shared);
    if (memory.buffer.byteLength < bytes) {
      warnOnce(`The system refused to reserve ${bytes} bytes of memory: the kernel has ${memory.buffer.byteLength}`);
    }
    return { module, memory };
  }

  /**
   * A handle for another thread: give it to `postMessage`, and there to `EmbeddedKernel.attach`.
   *
   * @throws {Error} where memory is not shared
   */
  share(): KernelHandle {
    if (!this.shared) {
      throw new Error(
        "Cannot share the kernel: its memory is not shared, since SharedArrayBuffer is not to be had here (a page must be cross-origin isolated)",
      );
    }
    return { memory: this.#memory, module: this.#module, possibleCpus: this.possibleCpus };
  }

  /**
   * Watches a Node.js worker that attaches to this kernel: when it has ended, however that came, it is reaped.
   *
   * Call it when the worker was made. A worker of a browser says nobody that it ended: call `reap` with its slot after
   * `worker.terminate()`.
   *
   * @throws {TypeError} for what is no Node.js Worker, or one that has ended
   */
  attachWorker(worker: WatchedWorker): void {
    const thread = worker.threadId;
    if (typeof worker.once !== "function" || !(thread > 0)) {
      throw new TypeError("Cannot watch this worker: wanted a worker of node:worker_threads that runs");
    }
    worker.once("exit", () => {
      if (!this.#open) return;
      for (const slot of tasksOf(this.#memory, thread)) this.#unreaped.add(slot);
      // If it has left in good order, its timers are to be taken over all the same.
      this.#reapAll(0);
    });
  }

  /** Reaps what is left of threads that have ended; what waits for another of them is tried again. */
  #reapAll(tries: number): void {
    if (!this.#open) return;
    this.#instance.patienceMs = EXIT_PATIENCE_MS;
    try {
      this.reap(...this.#unreaped);
    } catch (error) {
      if (!(error instanceof KernelBug) || tries === EXIT_TRIES) throw error;
      setTimeout(() => this.#reapAll(tries + 1), EXIT_PATIENCE_MS);
    } finally {
      this.#instance.patienceMs = PATIENCE_MS;
    }
  }

  /**
   * Brings in order what threads have left that ended: what they were in the middle of is finished or undone, what they
   * held (locks, their CPU, buffers, maps by the short way) is free, and so are their slots. Fds and names stay, and all
   * that was committed. A slot that is free already is no error.
   *
   * Only for threads that will never run again: they would go on in memory that is others' by then.
   *
   * @param slots The `slot` of each. Several that ended together are given together, since one may have what another waits for.
   * @throws {RangeError} for what is no slot, or this thread's own
   * @throws {KernelBug} when another thread that has ended, and is not among them, holds a lock
   */
  reap(...slots: number[]): void {
    for (const slot of slots) {
      inRange("slot", slot, 1, MAX_SLOTS);
      if (slot === this.slot)
        throw new RangeError(`Slot ${slot} is this thread's own: wanted that of one that has ended`);
    }
    slots = [...slots, ...this.#instance.halfReaped.splice(0)];
    const mine = slots.filter((slot) => this.#engine.reapLocks(slot) !== 0);
    for (const slot of mine) this.#engine.reapRest(slot);
    for (const slot of slots) this.#unreaped.delete(slot);
    this.#engine.adoptTimers();
  }

  /** The whole kernel as bytes, for `EmbeddedKernel.load`. Other threads' calls wait meanwhile. */
  save(): Uint8Array {
    const engine = this.#engine;
    engine.pause();
    try {
      const memory = new Uint8Array(this.#memory.buffer);
      const header = { pages: this.maxMemory / PAGE_BYTES, possibleCpus: this.possibleCpus };
      return encodeImage(memory, header, this.#extents());
    } finally {
      engine.resume();
    }
  }

  /** Superblock and tables, then each run of pages that belongs to a map or a name. */
  #extents(): Extent[] {
    const engine = this.#engine;
    const extents: Extent[] = [];
    const next = (address: number): number => engine.nextSavedRun(address) >>> 0;
    // The first run that may be in use begins where the tables end.
    const tablesEnd = engine.kernelStart() >>> 0;
    extents.push({ address: SUPER, length: PAGE_BYTES }, { address: FD_TABLE, length: tablesEnd - FD_TABLE });
    for (let address = next(0); address !== 0;) {
      const length = engine.runBytes(address) >>> 0;
      extents.push({ address, length });
      address = next(address + length);
    }
    return extents;
  }

  /**
   * Pages of user memory.
   *
   * @throws {RangeError} for a size that is not an integer from 1 on
   * @throws {BpfError} ENOMEM
   */
  alloc(size: number): UserBuffer {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new RangeError(`The size of a buffer is ${size}: expected an integer from 1 on`);
    const address = size > this.maxMemory ? 0 : this.#engine.alloc(size) >>> 0;
    if (address === 0) {
      throw new BpfError(`Cannot allocate a buffer of ${size} bytes`, -ENOMEM, {
        syscall: "mmap",
        hint: `the kernel's memory has ${this.maxMemory} bytes: create it with a larger maxMemory`,
      });
    }
    let open = true;
    return {
      address,
      bytes: new Uint8Array(this.#memory.buffer, address, size),
      [Symbol.dispose]: () => {
        if (open && this.#open) this.#engine.free(address);
        open = false;
      },
    };
  }

  bpf(cmd: number, attr: UserBuffer, size: number = attr.bytes.length): number {
    return this.#engine.bpf(cmd, attr.address, size);
  }

  prepare(cmd: number, attr: UserBuffer): () => number {
    const { bpf } = this.#engine;
    const { address } = attr;
    const size = attr.bytes.length;
    return () => bpf(cmd, address, size);
  }

  close(fd: number): number {
    return this.#engine.close(fd);
  }

  direct(fd: number, options?: DirectOptions): DirectMap | undefined {
    const engine = this.#engine;
    const map = engine.hold(fd);
    if (errnoOf(map) !== 0) return undefined;
    let direct: DirectMap | undefined;
    try {
      if (engine.canReadAndWrite(map, fd) !== 0) {
        const put = (): void => {
          if (this.#open) engine.put(map);
        };
        direct = openDirect(engine, map, (size) => this.alloc(size), put, options);
      }
    } finally {
      if (direct === undefined) engine.put(map);
    }
    return direct;
  }

  /**
   * Maps an array that was created with BPF_F_MMAPABLE, a ring buffer, or an arena.
   *
   * @param length In bytes; whole pages are mapped.
   * @throws {BpfError} as mmap(2): EBADF, EACCES and EPERM for what the fd or the map does not allow, EINVAL beyond the
   * end or for a map that is not mappable, 524 (ENOTSUPP) for a type that has no mapping
   */
  mmap(fd: number, length: number, options: MmapOptions = {}): UserBuffer {
    const offset = options.offset ?? 0;
    const refuse = (errno: number): BpfError =>
      new BpfError(`Cannot map ${length} bytes of fd ${fd} at ${offset}`, errno, { syscall: "mmap" });
    const isWhole = Number.isSafeInteger(length) && length > 0 && Number.isSafeInteger(offset) && offset >= 0;
    if (!isWhole || offset % PAGE_BYTES !== 0 || offset + length > this.maxMemory - PAGE_BYTES) {
      throw refuse(-EINVAL);
    }
    const engine = this.#engine;
    const map = engine.hold(fd);
    if (errnoOf(map) !== 0) throw refuse(map);
    const address = engine.mmap(
      map,
      fd,
      offset,
      Math.ceil(length / PAGE_BYTES) * PAGE_BYTES,
      options.writable === true ? 1 : 0,
      BigInt(options.address ?? 0),
    );
    if (errnoOf(address) !== 0) {
      engine.put(map);
      throw refuse(address);
    }
    let open = true;
    return {
      address: address >>> 0,
      bytes: new Uint8Array(this.#memory.buffer, address >>> 0, length),
      [Symbol.dispose]: () => {
        if (open && this.#open) {
          if (options.writable === true) engine.munmap(map);
          engine.put(map);
        }
        open = false;
      },
    };
  }

  /**
   * Waits until there is a record to read in a ring buffer.
   *
   * @returns true when readable, false when the time is over.
   * @throws {BpfError} EBADF when fd is not open, EPERM when it cannot be waited for, as epoll_ctl(2)
   * @throws the signal's reason
   */
  readable(fd: number, options: ReadableOptions = {}): Promise<boolean> {
    return awaitRing(this.#engine, this.#memory.buffer, this.#waits, fd, "readable", options);
  }

  /**
   * Waits until there is room in a user ring buffer.
   *
   * @returns true when writable, false when the time is over.
   * @throws {BpfError} as `readable`
   * @throws the signal's reason
   */
  writable(fd: number, options: ReadableOptions = {}): Promise<boolean> {
    return awaitRing(this.#engine, this.#memory.buffer, this.#waits, fd, "writable", options);
  }

  count(fd: number): number {
    return this.#engine.countOf(fd);
  }

  /**
   * Has `listener` called with each line that bpf_trace_printk or bpf_trace_vprintk prints in a program that this thread runs; undefined: with
   * none, as in the beginning. On Linux such lines are in /sys/kernel/tracing/trace_pipe.
   */
  onTrace(listener: ((line: string) => void) | undefined): void {
    this.#instance.onTrace = listener;
  }

  fault(): ProgramFault | undefined {
    return faultOf(this.#engine, this.#memory.buffer);
  }

  /**
   * How many jumps back, and iterations of helpers' loops, a program that this thread runs may take before it is ended: 2^28 unless
   * told.
   *
   * @throws {RangeError} for what is not an integer from 1 to 2^53 - 1
   */
  setProgramBudget(jumps: number): void {
    this.#engine.setBudget(BigInt(inRange("jumps", jumps, 1, Number.MAX_SAFE_INTEGER)));
  }

  /**
   * Fires the timers (bpf_timer_start) of this thread that are due. The thread does so by itself when it comes back to its event loop; this
   * is for one that does not, or does not want to wait.
   *
   * A timer fires in the thread that has started it; when that has ended, in one that reaps it, attaches, or runs a program.
   *
   * @returns How many have fired. What they start is for the next time.
   */
  runTimers(): number {
    if (!this.#open) return 0;
    try {
      return this.#engine.runTimers();
    } catch (error) {
      // Of a listener of `onTrace`, or a lock that was waited for in vain: the timers behind that one are for the next time.
      this.#engine.giveUp();
      this.#alarm.set(0);
      throw error;
    }
  }

  /** Fires what is due when the alarm rings: it rings again at once after one that was in vain. */
  #ring(): void {
    try {
      this.runTimers();
      this.#failedRings = 0;
    } catch (error) {
      if (!(error instanceof KernelBug) || ++this.#failedRings === RING_TRIES) throw error;
    }
  }

  directRing(fd: number): DirectRing | undefined {
    const engine = this.#engine;
    const map = engine.hold(fd);
    if (errnoOf(map) !== 0) return undefined;
    const type = engine.typeOf(map);
    if (type !== BPF_MAP_TYPE_RINGBUF && type !== BPF_MAP_TYPE_USER_RINGBUF) {
      engine.put(map);
      return undefined;
    }
    const put = (): void => {
      if (this.#open) engine.put(map);
    };
    return openDirectRing(engine, this.#memory.buffer, map, (size) => this.alloc(size), put);
  }

  fdinfo(fd: number): string | undefined {
    const map = this.#engine.hold(fd);
    if (errnoOf(map) === -EINVAL) return otherFdinfoOf(this, fd);
    if (errnoOf(map) !== 0) return undefined;
    try {
      return fdinfoOf(this, this.#engine, fd, map);
    } finally {
      this.#engine.put(map);
    }
  }

  unlink(path: string): number {
    return this.#withPath(path, (pathname) => this.#engine.unlink(pathname));
  }

  mkdir(path: string): number {
    return this.#withPath(path, (pathname) => this.#engine.mkdir(pathname));
  }

  rmdir(path: string): number {
    return this.#withPath(path, (pathname) => this.#engine.rmdir(pathname));
  }

  rename(from: string, to: string): number {
    return this.#withPath(from, (old) => this.#withPath(to, (pathname) => this.#engine.rename(old, pathname)));
  }

  readdir(path: string): DirectoryEntry[] | number {
    let list: Uint8Array = new Uint8Array(0);
    const ret = this.#withPath(path, (pathname) => {
      const names = this.#names(pathname);
      if (typeof names === "number") return names;
      list = names;
      return 0;
    });
    return ret < 0 ? ret : directoryEntries(list).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Calls `act` with the path where the engine can read it. */
  #withPath(path: string, act: (pathname: number) => number): number {
    const text = new TextEncoder().encode(path);
    if (text.includes(0)) return -EINVAL;
    using name = this.alloc(text.length + 1);
    name.bytes.set(text);
    return act(name.address);
  }

  /** All names of maps and programs in the bpffs, as whole paths, and the ids of what has them. */
  pins(): PinnedName[] {
    const list = this.#names(0);
    if (typeof list === "number") {
      throw new BpfError("Cannot list the pinned names", list, { syscall: "readdir" });
    }
    return pinnedNames(list);
  }

  /** The engine's list of what is in a directory, or, for 0, of all names; or a negative errno. */
  #names(pathname: number): Uint8Array | number {
    for (let room = PAGE_BYTES; ; room *= 2) {
      using list = this.alloc(room);
      const bytes = this.#engine.names(pathname, list.address, room);
      if (bytes <= room) return bytes < 0 ? bytes : list.bytes.slice(0, bytes);
    }
  }

  /**
   * Walks all structures of the kernel, as fsck does those of a disk. Other threads' calls wait meanwhile.
   *
   * @returns What is wrong, a sentence each, at most 1,000 of them: none if all is well.
   */
  check(): string[] {
    using room = this.alloc(1000 * FINDING_BYTES);
    const found = this.#engine.check(room.address, room.bytes.length);
    return describeFindings(room.bytes.subarray(0, Math.min(found * FINDING_BYTES, room.bytes.length)));
  }

  /** What is in use now. */
  usage(): KernelUsage {
    const engine = this.#engine;
    return { fds: engine.fdsOpen(), maps: engine.mapsAlive(), bytes: engine.pagesUsed() * PAGE_BYTES };
  }

  /**
   * Leaves the kernel: this thread's place, CPU and buffers are free again, and so is what it holds of maps. Maps, fds and names
   * stay for the other threads. What waits is rejected with ECANCELED.
   */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#alarm[Symbol.dispose]();
    this.#waits[Symbol.dispose]();
    this.#engine.leave();
    giveTask(this.#memory, this.slot);
  }
}

/** What the engine returned where it may be an address: the errno, or 0. */
function errnoOf(returned: number): number {
  return returned < 0 && returned > -4096 ? returned : 0;
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${name} is ${value}: wanted an integer from ${least} to ${most}`);
}

function randomSeed(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0]!;
}

const warned = new Set<string>();

function warnOnce(text: string): void {
  if (!warned.has(text)) console.warn(`tsbpf: ${text}`);
  warned.add(text);
}
