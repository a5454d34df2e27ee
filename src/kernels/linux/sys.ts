/**
 * The C functions that LinuxKernel calls, and koffi behind them. The only file that loads native code.
 *
 * Another FFI (node:ffi, Bun's, Deno's) takes koffi's place by answering the same interface. Addresses are plain numbers: user
 * space lies below 2^47. Every function returns what the C function returns, or the negative errno instead of -1.
 */
import { createRequire } from "node:module";

/** The C functions, each after its manual page in section 2. */
export interface Sys {
  bpf(cmd: number, attr: number, size: number): number;
  close(fd: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epfd: number, op: number, fd: number, event: number): number;
  fcntl(fd: number, cmd: number, arg: number): number;
  /** @param memory Whole pages. */
  madvise(memory: Uint8Array, advice: number): number;
  mmap(address: number, length: number, prot: number, flags: number, fd: number, offset: number): number;
  munmap(address: number, length: number): number;
  perf_event_open(attr: number, pid: number, cpu: number, groupFd: number, flags: number): number;
  poll(fds: number, count: number, timeoutMs: number): number;
  unlink(path: string): number;
  mkdir(path: string, mode: number): number;
  rmdir(path: string): number;
  rename(from: string, to: string): number;
  /** Not a C function: the memory at address, which must stay mapped for as long as the ArrayBuffer is used. */
  view(address: number, length: number): ArrayBuffer;
  /** Not a C function: a watch on fd in the event loop of this thread, at rest. Makes fd non-blocking. */
  watch(fd: number): Watch;
}

/** A watch on an fd. It keeps the event loop alive from start to stop. */
export interface Watch {
  /** Has `seen` called in every turn of the event loop that finds the fd readable. */
  start(seen: () => void): void;
  stop(): void;
  close(): void;
}

/** __NR_bpf by Node's name of the architecture: 64-bit little-endian ones, whose `union bpf_attr` and mmap flags are alike. */
export const bpfSyscallNumber: ReadonlyMap<string, number> = new Map([
  ["x64", 321],
  ["arm64", 280],
  ["loong64", 280],
  ["riscv64", 280],
]);

/** __NR_perf_event_open: the architectures that share bpf's number share this one too. */
function perfEventOpenNumber(arch: string): number {
  return arch === "x64" ? 298 : 241;
}

/** An argument of a C function. */
type Arg = number | string | Uint8Array;

/** What is used of koffi; its own types would make it a dependency of everyone's type check. */
interface Koffi {
  load(path: null): { func(name: string, result: string, args: string[]): (...args: Arg[]) => number };
  errno(): number;
  view(address: number, length: number): ArrayBuffer;
  node: { poll(fd: number, seen: () => void): { start(seen: () => void): void; stop(): void; close(): void } };
}

/**
 * Loads koffi and binds the functions, from the C library that Node itself runs on.
 *
 * koffi is loaded here and not imported, for where it is missing that is an error of whoever opens a LinuxKernel.
 *
 * @throws whatever require("koffi") and koffi.load() throw
 */
export function openSys(): Sys {
  const koffi = createRequire(import.meta.url)("koffi") as Koffi;
  const number = bpfSyscallNumber.get(process.arch);
  if (number === undefined) throw new Error(`The number of bpf(2) on ${process.arch} is not known`);
  const libc = koffi.load(null);
  // Synchronous calls only: koffi's asynchronous ones have crashed in worker threads.
  const bind = (name: string, args: string[], result = "int"): ((...args: Arg[]) => number) => {
    const call = libc.func(name, result, args);
    return (...given) => {
      const returned = call(...given);
      return returned === -1 ? -koffi.errno() : returned;
    };
  };
  const syscall = libc.func("syscall", "int", ["long", "int", "uintptr_t", "uint32_t"]);
  const madvise = bind("madvise", ["void *", "size_t", "int"]);
  const perfEventOpen = bind("syscall", ["long", "uintptr_t", "int", "int", "int", "unsigned long"]);
  return {
    // Written out, for it is the hot one: about 60 ns above the same call in C. Whether the address is passed as number, BigInt or typed
    // array, declared as pointer or integer, makes no difference that can be measured.
    bpf(cmd, attr, size) {
      const returned = syscall(number, cmd, attr, size);
      return returned === -1 ? -koffi.errno() : returned;
    },
    close: bind("close", ["int"]),
    epoll_create1: bind("epoll_create1", ["int"]),
    epoll_ctl: bind("epoll_ctl", ["int", "int", "int", "uintptr_t"]),
    fcntl: bind("fcntl", ["int", "int", "long"]),
    madvise: (memory, advice) => madvise(memory, memory.byteLength, advice),
    mmap: bind("mmap", ["uintptr_t", "size_t", "int", "int", "int", "int64_t"], "intptr_t"),
    munmap: bind("munmap", ["uintptr_t", "size_t"]),
    perf_event_open(attr, pid, cpu, groupFd, flags) {
      return perfEventOpen(perfEventOpenNumber(process.arch), attr, pid, cpu, groupFd, flags);
    },
    poll: bind("poll", ["uintptr_t", "unsigned long", "int"]),
    unlink: bind("unlink", ["str"]),
    mkdir: bind("mkdir", ["str", "unsigned int"]),
    rmdir: bind("rmdir", ["str"]),
    rename: bind("rename", ["str", "str"]),
    view: (address, length) => koffi.view(address, length),
    watch(fd) {
      const handle = koffi.node.poll(fd, () => {});
      handle.stop();
      return {
        // Through setImmediate, later in the same turn: on Node 26, koffi's callback runs no promise jobs when it is over.
        start: (seen) => handle.start(() => setImmediate(seen)),
        stop: () => handle.stop(),
        close: () => handle.close(),
      };
    },
  };
}
