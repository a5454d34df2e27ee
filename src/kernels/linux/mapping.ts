/**
 * Memory from mmap(2) as a UserBuffer: anonymous memory, and maps that the kernel lets be mapped.
 *
 *     address                          address + length         rounded up to whole pages by the kernel
 *     | bytes ....................... | not shown to JavaScript |
 *
 * JavaScript may touch `bytes` after dispose(), and V8 cannot be told that the memory behind them is gone. So dispose() puts
 * empty anonymous memory in place, which frees the pages (or lets go of the map) at once, and the addresses are given back when
 * the ArrayBuffer was collected. Late reads find zeroes, late writes go nowhere, and nothing crashes. What must be mapped at such an
 * address again (an arena) is shown by the same ArrayBuffer again.
 */
import { constants } from "node:buffer";
import { ENOMEM } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import type { MmapOptions, UserBuffer } from "../kernel.js";
import type { Sys } from "./sys.js";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;

interface Range {
  readonly sys: Sys;
  readonly address: number;
  readonly length: number;
}

/** Ranges that were disposed, by the ArrayBuffer that still shows them. */
const disposed = new FinalizationRegistry<Range>(({ sys, address, length }) => {
  shown.delete(address);
  sys.munmap(address, length);
});
/** The same ArrayBuffers, by address. */
const shown = new Map<number, WeakRef<ArrayBuffer>>();

/** Pages of the process's own. Not given back before dispose(), not even when JavaScript forgets them: the kernel may hold the address. */
export class Mapping implements UserBuffer {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly #sys: Sys;
  #disposed = false;

  constructor(sys: Sys, address: number, bytes: Uint8Array) {
    this.#sys = sys;
    this.address = address;
    this.bytes = bytes;
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const { address, bytes } = this;
    const length = bytes.length;
    this.#sys.mmap(address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    disposed.register(bytes.buffer, { sys: this.#sys, address, length }, bytes.buffer);
    shown.set(address, new WeakRef(bytes.buffer as ArrayBuffer));
  }
}

function map(
  sys: Sys,
  what: string,
  length: number,
  prot: number,
  flags: number,
  fd: number,
  offset: number,
  wanted = 0,
): Mapping {
  // Node aborts when it is asked for a view that is longer.
  if (length > constants.MAX_LENGTH) {
    const hint = `JavaScript views at most ${constants.MAX_LENGTH} bytes at once`;
    throw new BpfError(what, ENOMEM, { syscall: "mmap", hint });
  }
  const before = shown.get(wanted)?.deref();
  const again = before?.byteLength === length ? before : undefined;
  const address = sys.mmap(wanted, length, prot, again === undefined ? flags : flags | MAP_FIXED, fd, offset);
  if (address < 0) throw new BpfError(what, address, { syscall: "mmap" });
  if (again !== undefined) {
    shown.delete(address);
    disposed.unregister(again);
  }
  return new Mapping(sys, address, new Uint8Array(again ?? sys.view(address, length)));
}

/**
 * Zeroed memory.
 *
 * @param size In bytes.
 * @throws {BpfError} ENOMEM
 */
export function mapAnonymous(sys: Sys, size: number): Mapping {
  return map(sys, `Cannot allocate ${size} bytes`, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/**
 * What fd maps, shared with the kernel.
 *
 * @throws {BpfError} what mmap(2) answers
 */
export function mapFd(sys: Sys, fd: number, length: number, options: MmapOptions): Mapping {
  const prot = options.writable === true ? PROT_READ | PROT_WRITE : PROT_READ;
  const what = `Cannot map ${length} bytes of fd ${fd}`;
  return map(sys, what, length, prot, MAP_SHARED, fd, options.offset ?? 0, options.address);
}
