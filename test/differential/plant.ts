/**
 * A kernel that answers as another one does, but for a fault: to see that the fault is found.
 */
import type { DirectoryEntry, Kernel, UserBuffer } from "tsbpf";

/** One call, as a fault sees it. */
export interface Call {
  readonly cmd: number;
  /** What the kernel returned. */
  readonly ret: number;
  /** attr. */
  readonly attr: DataView;
  /** The bytes from an address on: empty if there is no user memory. */
  bytesAt(address: bigint): Uint8Array;
}

/** Changes what was written, and says what is returned instead. */
export type Fault = (call: Call) => number;

export class PlantedKernel implements Kernel {
  readonly name: "embedded" | "linux";
  readonly possibleCpus: number;
  readonly #kernel: Kernel;
  readonly #fault: Fault;
  readonly #buffers = new Set<UserBuffer>();

  constructor(kernel: Kernel, fault: Fault) {
    this.#kernel = kernel;
    this.#fault = fault;
    this.name = kernel.name;
    this.possibleCpus = kernel.possibleCpus;
  }

  alloc(size: number): UserBuffer {
    const buffer = this.#kernel.alloc(size);
    this.#buffers.add(buffer);
    return buffer;
  }

  bpf(cmd: number, attr: UserBuffer, size: number = attr.bytes.length): number {
    const ret = this.#kernel.bpf(cmd, attr, size);
    const given = this.#bytesAt(BigInt(attr.address));
    if (given.length < 32) return ret;
    const view = new DataView(given.buffer, given.byteOffset, given.length);
    return this.#fault({ cmd, ret, attr: view, bytesAt: (address) => this.#bytesAt(address) });
  }

  #bytesAt(address: bigint): Uint8Array {
    for (const { address: start, bytes } of this.#buffers) {
      const offset = address - BigInt(start);
      if (offset >= 0n && offset < BigInt(bytes.length)) return bytes.subarray(Number(offset));
    }
    return new Uint8Array(0);
  }

  prepare(cmd: number, attr: UserBuffer): () => number {
    return () => this.bpf(cmd, attr);
  }

  close(fd: number): number {
    return this.#kernel.close(fd);
  }

  mmap(...args: Parameters<Kernel["mmap"]>): UserBuffer {
    return this.#kernel.mmap(...args);
  }

  readable(...args: Parameters<Kernel["readable"]>): Promise<boolean> {
    return this.#kernel.readable(...args);
  }

  writable(...args: Parameters<Kernel["writable"]>): Promise<boolean> {
    return this.#kernel.writable(...args);
  }

  fdinfo(fd: number): string | undefined {
    return this.#kernel.fdinfo(fd);
  }

  unlink(path: string): number {
    return this.#kernel.unlink(path);
  }

  mkdir(path: string): number {
    return this.#kernel.mkdir(path);
  }

  rmdir(path: string): number {
    return this.#kernel.rmdir(path);
  }

  rename(from: string, to: string): number {
    return this.#kernel.rename(from, to);
  }

  readdir(path: string): DirectoryEntry[] | number {
    return this.#kernel.readdir(path);
  }

  [Symbol.dispose](): void {
    this.#kernel[Symbol.dispose]();
  }
}
