/**
 * The door: what a kernel is to everything above it. No code on the user side reaches a kernel but through here.
 *
 * Two stand behind it: EmbeddedKernel (src/kernels/embedded) and LinuxKernel (src/kernels/linux).
 */

/** Memory that both a kernel and JavaScript can read and write. */
export interface UserBuffer {
  /** Where it lies, as a pointer for `union bpf_attr`. */
  readonly address: number;
  /** Its bytes. Do not use them after the buffer was disposed. */
  readonly bytes: Uint8Array;
  [Symbol.dispose](): void;
}

/**
 * The embedded kernel's short way into one map: the engine's own functions, without fd table, attr and pointer checks.
 *
 * Keys and values travel in the map's two buffers here, keys of four bytes also as an argument. The results are those of
 * the same command through `bpf()`: 0 or a negative errno. It holds the map until disposed.
 */
export interface DirectMap {
  /** Holds the key of the next operation. */
  readonly key: UserBuffer;
  /** Holds the value given, or the value found. */
  readonly value: UserBuffer;
  lookupElem(): number;
  updateElem(flags: number): number;
  deleteElem(): number;
  /** The same with a key of four bytes as argument: only on maps whose keySize is 4. */
  lookupElem4(key: number): number;
  updateElem4(key: number, flags: number): number;
  deleteElem4(key: number): number;
  /**
   * Adds `value` to the elem of `key` in one atomic step, lane by lane; an elem that is absent starts at zero.
   *
   * Per-CPU maps add to the calling thread's CPU. `lanes` are those given when the map was opened for adding.
   */
  addElem(): number;
  addElem4(key: number): number;
  /**
   * The same for n keys in one call, in their order, in memory from `alloc`: keys and values lie at multiples of 8 bytes,
   * each directly behind the last but for that (a key of 13 bytes every 16, a value of 4 every 8).
   *
   * What comes of each key is stored in `rets`, an i32 a key: 0 or a negative errno. The first that fails is the last one
   * tried, where a key that is not there is no failure of lookups and deletes, nor what the mode refuses one of updates
   * (EEXIST with BPF_NOEXIST, ENOENT with BPF_EXIST).
   *
   * @param keys Addresses, as the following ones; all multiples of 8.
   * @returns How many keys were done before the one that failed, whose errno is the last in `rets`; n if none did.
   */
  lookupMany(keys: number, values: number, rets: number, n: number): number;
  updateMany(keys: number, values: number, rets: number, n: number, flags: number): number;
  deleteMany(keys: number, rets: number, n: number): number;
  /** How many elems the map holds. */
  count(): number;
  /**
   * Has an LRU hash let go of exactly the elem whose last use is the longest ago, from now on: -EINVAL for other types, or if it does
   * already; -EBUSY if it is not empty; -ENOMEM.
   */
  setExact(): number;
  [Symbol.dispose](): void;
}

/**
 * The embedded kernel's short way into a ring buffer: what programs do with one on Linux. It holds the map until disposed.
 *
 * Flags are BPF_RB_NO_WAKEUP and BPF_RB_FORCE_WAKEUP.
 */
export interface DirectRing {
  /** bpf_ringbuf_reserve: the record's bytes, or undefined when there is no room for it. */
  reserve(size: number): Uint8Array | undefined;
  /** bpf_ringbuf_submit: 0, or -EINVAL for what this thread has not reserved. */
  submit(record: Uint8Array, flags: number): number;
  /** bpf_ringbuf_discard: 0, or -EINVAL for what this thread has not reserved. */
  discard(record: Uint8Array, flags: number): number;
  /** bpf_ringbuf_output: 0, or -EAGAIN when there is no room for it. */
  output(record: Uint8Array, flags: number): number;
  /** The same for bytes in memory from `alloc`, by their address. */
  outputFrom(address: number, size: number, flags: number): number;
  /** bpf_ringbuf_query: what BPF_RB_* asks for. */
  query(what: number): number;
  /** How many records found no room, whoever wrote them. */
  lost(): number;
  /** bpf_user_ringbuf_drain of one record: a copy of it, or a negative errno (EAGAIN: none is there). */
  drain(): Uint8Array | number;
  [Symbol.dispose](): void;
}

/** What a DirectMap is opened with. */
export interface DirectOptions {
  /** Integers that make up a value, for `addElem`: byte offset and width (1, 2, 4 or 8) of each. */
  readonly lanes?: readonly { readonly offset: number; readonly width: number }[];
}

/** How `mmap` maps. */
export interface MmapOptions {
  /** Where in the map to begin, in bytes, a multiple of the page size. 0 unless told. */
  offset?: number;
  /** Maps for writing too. */
  writable?: boolean;
  /** Where to map it, if there is room. What is an arena's must be mapped there: see Arena. */
  address?: number;
}

/** How `readable` and `writable` wait. */
export interface ReadableOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  /** Tells whether it is, of what Linux tells only once: perf events. */
  readonly isReady?: (() => boolean) | undefined;
  /** Whether Node's event loop stays alive meanwhile: it does unless this is false. On Linux it always does. */
  readonly ref?: boolean;
}

/** What a directory of a bpffs holds. */
export interface DirectoryEntry {
  readonly name: string;
  /** Whether it is a directory, and not a pinned object. */
  readonly isDirectory: boolean;
}

/** A function of the kernel, or of a file, that a perf event is opened for. */
export interface ProbePlace {
  /** In bytes, from the begin of the function, or of the file. */
  readonly offset: number;
  /** Where it returns, rather than where it begins. */
  readonly atReturn: boolean;
}

/**
 * The Linux kernel's places for programs, by name: what BPF_LINK_CREATE wants as a number, or as an fd that the caller closes. Fds are
 * negative errnos where there is no such place.
 */
export interface Places {
  /** An interface's index, in this network namespace; 0 where there is none. */
  ifindex(name: string): number;
  /** The fd of a directory: a cgroup is one. */
  openDirectory(path: string): number;
  /** The fd of a perf event for a tracepoint, "syscalls/sys_enter_openat". */
  tracepoint(name: string): number;
  /** The same for a function of the kernel. */
  kprobe(name: string, place: ProbePlace): number;
  /** The same for a place in an executable or a library, by its offset in the file; of a process, or with pid -1 of all. */
  uprobe(path: string, place: ProbePlace & { readonly pid: number }): number;
  /** What the kernel was built with, as /proc/config.gz tells it, and LINUX_KERNEL_VERSION. */
  config(): string;
  /** A file's bytes: of one that has the function that an uprobe is for. */
  readFile(path: string): Uint8Array | number;
}

/** What ended a program that did what it must not. */
export interface ProgramFault {
  /** What the program does there: "touches memory that is not its own". */
  readonly reason: string;
  /** The slot of the instruction. */
  readonly insn: number;
  /** The address, or the argument, that was wrong; 0 where none was. */
  readonly address: bigint;
  /** The program's id. */
  readonly program: number;
}

/** A kernel that answers bpf(2). */
export interface Kernel {
  readonly name: "embedded" | "linux";
  /** CPUs that a per-CPU value has slots for (the kernel's num_possible_cpus). */
  readonly possibleCpus: number;
  /**
   * Memory that attr and its pointers may lie in: zeroed, 8-byte aligned, not moved until disposed.
   *
   * @param size In bytes, at least 1.
   * @throws {BpfError} ENOMEM
   */
  alloc(size: number): UserBuffer;
  /**
   * bpf(2).
   *
   * @param cmd A command of enum bpf_cmd.
   * @param attr `union bpf_attr`, as Linux lays it out (little endian). The kernel writes its answers there.
   * @param size Bytes of attr that are given; all of the buffer unless told.
   * @returns An fd, a count or 0; or a negative errno. Nothing that a kernel answers with an errno is thrown.
   */
  bpf(cmd: number, attr: UserBuffer, size?: number): number;
  /** The same call with cmd and attr bound once, for hot loops; attr's bytes and what they point to may change between calls. */
  prepare(cmd: number, attr: UserBuffer): () => number;
  /** close(2): the map goes when its last fd, pin and holder is gone. Returns 0 or a negative errno. */
  close(fd: number): number;
  /** The embedded kernel's short way (what the vDSO is to Linux); undefined where there is none. Same results. */
  direct?(fd: number, options?: DirectOptions): DirectMap | undefined;
  /** The same for ring buffers. */
  directRing?(fd: number): DirectRing | undefined;
  /**
   * How many elems a map holds, without a walk; undefined where a kernel has no such call.
   *
   * It is exact when nobody changes the map. While others do, it is what it was at one moment of the call; an elem that is being
   * inserted or deleted counts.
   *
   * @returns The number; -EBADF, -EPERM where the fd may not read, -EOPNOTSUPP for a type that does not know (bloom filters,
   * ring buffers).
   */
  count?(fd: number): number;
  /**
   * What ended the program that this thread ran last, where BPF_PROG_TEST_RUN has answered -EFAULT or -ETIME for it; undefined if it ended
   * by itself. The embedded kernel's: Linux refuses such programs when they are loaded.
   */
  fault?(): ProgramFault | undefined;
  /**
   * mmap(2) on a map's fd.
   *
   * @param length In bytes.
   * @throws {BpfError} with the errno that mmap(2) gives
   */
  mmap(fd: number, length: number, options?: MmapOptions): UserBuffer;
  /** Resolves true when fd is readable, false when the time is over: epoll on Linux, Atomics.waitAsync on the embedded kernel. */
  readable(fd: number, options?: ReadableOptions): Promise<boolean>;
  /** The same for writing: of user ring buffers. */
  writable(fd: number, options?: ReadableOptions): Promise<boolean>;
  /**
   * perf_event_open(2), of all processes on one CPU (cpu -1: of one process on all): an fd, or a negative errno. Only Linux has perf
   * events.
   */
  perfEventOpen?(attr: UserBuffer, cpu: number, pid?: number): number;
  /** Where programs are attached; undefined where a kernel has no packets and events of its own. */
  readonly places?: Places;
  /** What /proc/self/fdinfo says of an fd ("map_type:\t1\nkey_size:\t4\n..."), or undefined when it is not open. */
  fdinfo(fd: number): string | undefined;
  /** Removes a pinned name: unlink(2). As the next four, in a bpffs only (elsewhere EPERM). Returns 0 or a negative errno. */
  unlink(path: string): number;
  /** Makes a directory for pinned names: mkdir(2). Returns 0 or a negative errno. */
  mkdir(path: string): number;
  /** Removes an empty directory: rmdir(2). Returns 0 or a negative errno. */
  rmdir(path: string): number;
  /** Renames a pinned name or a directory; what has the new name goes: rename(2). Returns 0 or a negative errno. */
  rename(from: string, to: string): number;
  /** What is in a directory, sorted by name; or a negative errno. */
  readdir(path: string): DirectoryEntry[] | number;
  [Symbol.dispose](): void;
}
