/**
 * The memory that commands point into: the same regions on every kernel, and an unmapped page behind the last.
 *
 *      ATTR     0x00000  8 KiB   attr, with room for more than a page
 *      KEY      0x02000  4 KiB
 *      NEXT     0x03000  4 KiB   next_key
 *      INFO     0x04000  8 KiB   struct bpf_map_info
 *      IN, OUT  0x06000  4 KiB each: a batch's cursors
 *      KEYS     0x08000  16 KiB  a batch's keys
 *      VALUE    0x0C000  72 KiB  a value, or a batch's
 *      END      0x1E000  not mapped
 */
import type { Kernel, UserBuffer } from "tsbpf";
import { BPF_MAP_LOOKUP_ELEM, EFAULT } from "tsbpf/uapi";
import { openSys } from "../../src/kernels/linux/sys.js";

export const ATTR = 0;
export const KEY = 0x2000;
export const NEXT = 0x3000;
export const INFO = 0x4000;
export const IN = 0x6000;
export const OUT = 0x7000;
export const KEYS = 0x8000;
export const VALUE = 0xc000;
export const END = 0x1e000;

const regions = { ATTR, KEY, NEXT, INFO, IN, OUT, KEYS, VALUE, END };
const PAGE = 4096;

/** An offset of the arena, as a reader wants it: "VALUE+8". */
export function placeName(offset: number): string {
  let found = "ATTR";
  for (const [name, start] of Object.entries(regions)) {
    if (start <= offset) found = name;
  }
  const rest = offset - regions[found as keyof typeof regions];
  return rest === 0 ? found : `${found}+${rest}`;
}

/** The regions in a kernel's memory, and a copy to see by what was written. */
export class Arena {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** What `bytes` held before the command. */
  readonly before: Uint8Array = new Uint8Array(END);
  readonly #pages: (readonly [now: Uint8Array, before: Uint8Array])[] = [];
  readonly #buffer: UserBuffer;

  constructor(kernel: Kernel) {
    this.#buffer = kernel.name === "linux" ? allocGuarded(kernel) : kernel.alloc(END);
    this.address = this.#buffer.address;
    this.bytes = this.#buffer.bytes.subarray(0, END);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, END);
    // An embedded kernel's first buffer lies below its guard page.
    const behind: UserBuffer = { ...this.#buffer, bytes: this.bytes, address: this.address + END };
    if (kernel.bpf(BPF_MAP_LOOKUP_ELEM, behind, 8) !== -EFAULT) {
      throw new Error("The page behind the arena is mapped: allocate the arena before anything else");
    }
    for (let at = 0; at < END; at += PAGE) {
      this.#pages.push([this.bytes.subarray(at, at + PAGE), this.before.subarray(at, at + PAGE)]);
    }
    this.clear();
  }

  /** A pattern without zeroes, so that zeroes which are written are seen. */
  clear(): void {
    for (let i = 0; i < END; i++) this.before[i] = (i * 37 + (i >> 8)) & 0xff || 0xa5;
    this.bytes.set(this.before);
  }

  /** Puts bytes there as the caller of a command does: it is no write of the kernel's. What lies behind END is lost. */
  put(offset: number, bytes: Uint8Array): void {
    if (offset >= END) return;
    const fitting = bytes.subarray(0, END - offset);
    this.bytes.set(fitting, offset);
    this.before.set(fitting, offset);
  }

  fill(offset: number, length: number, byte: number): void {
    this.bytes.fill(byte, offset, offset + length);
    this.before.fill(byte, offset, offset + length);
  }

  /** The arena's offset of an address, or -1 for one outside. */
  offsetOf(address: bigint): number {
    const offset = address - BigInt(this.address);
    return offset >= 0n && offset < BigInt(END) ? Number(offset) : -1;
  }

  /** Takes back what was written from an offset on. */
  forget(offset: number): void {
    this.bytes.set(this.before.subarray(offset), offset);
  }

  /** What the kernel wrote since the last call: "VALUE:0a000000 ATTR+32:03"; "" for nothing. */
  takeWrites(): string {
    let writes = "";
    for (let page = 0; page < this.#pages.length; page++) {
      const [now, before] = this.#pages[page]!;
      if (Buffer.compare(now, before) === 0) continue;
      for (let from = 0; from < PAGE; from++) {
        if (now[from] === before[from]) continue;
        let to = from + 1;
        while (to < PAGE && now[to] !== before[to]) to++;
        const bytes = Buffer.from(now.slice(from, to)).toString("hex");
        writes += `${writes === "" ? "" : " "}${placeName(page * PAGE + from)}:${bytes}`;
        from = to;
      }
      before.set(now);
    }
    return writes;
  }

  [Symbol.dispose](): void {
    this.#buffer[Symbol.dispose]();
  }
}

/** Linux may map the next thing right behind a buffer: so the last page is made one that nobody can touch. */
function allocGuarded(kernel: Kernel): UserBuffer {
  const PROT_NONE = 0;
  const MAP_PRIVATE_FIXED_ANONYMOUS = 0x32;
  const buffer = kernel.alloc(END + PAGE);
  const guard = openSys().mmap(buffer.address + END, PAGE, PROT_NONE, MAP_PRIVATE_FIXED_ANONYMOUS, -1, 0);
  if (guard !== buffer.address + END) throw new Error(`Cannot protect the page behind the arena: mmap gave ${guard}`);
  return buffer;
}
