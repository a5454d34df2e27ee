/**
 * Hostile input: several threads call bpf() with random bytes in every part of attr. Nothing traps or hangs, nothing changes but what
 * pointers and fds led to, and afterwards all works, and all memory is back.
 *
 * TSBPF_HOSTILE_SECONDS says for how long; TEST_SEED brings the same calls again, but not what the threads do to each other.
 */
import {
  ArrayMap,
  type DirectMap,
  type DirectoryEntry,
  EmbeddedKernel,
  HashMap,
  type MapInfo,
  PerCpuArray,
  PerCpuHashMap,
  type UserBuffer,
  bytes,
  u32,
} from "tsbpf";
import {
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_MAP_GET_NEXT_ID,
  E2BIG,
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  EPERM,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { crewSize, each, run } from "../threads/crew.js";
import { LOG_WORDS, describeCall, hostilePaths } from "../threads/hostile.js";
import { type Aims, cmds } from "../threads/hostile_call.js";
import { watchLeaks } from "../leaks.js";

const seed = Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const seconds = Number(process.env["TSBPF_HOSTILE_SECONDS"] ?? 4);

const MEMORY = 2 ** 26;
const elems = 64;
const options = { value: bytes(24), maxEntries: elems };

/** Maps of all kinds that no hostile thread has an fd of. */
const guardMakers: Record<string, (kernel: EmbeddedKernel) => { fd: number; info(): MapInfo; close(): void }> = {
  hash: (kernel) => HashMap.create(kernel, { key: u32, ...options }),
  "not preallocated": (kernel) => HashMap.create(kernel, { key: u32, ...options, mapFlags: BPF_F_NO_PREALLOC }),
  "per-CPU hash": (kernel) => PerCpuHashMap.create(kernel, { key: u32, ...options }),
  array: (kernel) => ArrayMap.create(kernel, options),
  "mappable array": (kernel) => ArrayMap.create(kernel, { ...options, mapFlags: BPF_F_MMAPABLE }),
  "per-CPU array": (kernel) => PerCpuArray.create(kernel, options),
};

/** A map that is held by the short way alone: it has an id, but neither fd nor name, so no random number leads to it. */
class Guard {
  readonly id: number;
  readonly #name: string;
  readonly #direct: DirectMap;

  constructor(kernel: EmbeddedKernel, name: string) {
    const map = guardMakers[name]!(kernel);
    this.id = map.info().id;
    this.#name = name;
    this.#direct = kernel.direct(map.fd)!;
    map.close();
    for (let key = 0; key < elems; key++) {
      this.#aimAt(key);
      this.#direct.value.bytes.set(this.#wanted(key));
      expect(this.#direct.updateElem(0)).toBe(0);
    }
  }

  #aimAt(key: number): void {
    this.#direct.key.bytes.set([key, 0, 0, 0]);
  }

  #wanted(key: number): Uint8Array {
    return Uint8Array.from(this.#direct.value.bytes, (_, i) => key * 7 + i * 3 + 1);
  }

  /** All elems are there, and have the values that they were given. */
  check(): void {
    for (let key = 0; key < elems; key++) {
      this.#aimAt(key);
      this.#direct.value.bytes.fill(0);
      expect(this.#direct.lookupElem(), `${this.#name}, key ${key}`).toBe(0);
      expect(Buffer.compare(this.#direct.value.bytes, this.#wanted(key)), `${this.#name}, key ${key}`).toBe(0);
    }
    expect(this.#direct.count(), this.#name).toBe(elems);
  }

  [Symbol.dispose](): void {
    this.#direct[Symbol.dispose]();
  }
}

/**
 * The memory, from its end down: the threads' arenas, and paths; what they must not change; a moat, as large as half of it; and
 * the rest, where maps are made. No map is as large as the moat: so no call writes as far as over it.
 */
class Field {
  readonly kernel: EmbeddedKernel;
  readonly aims: Aims;
  readonly guards: Guard[];
  readonly desks: UserBuffer[];
  readonly #sealed: { readonly bytes: Uint8Array; readonly was: Uint8Array }[] = [];
  readonly #buffers: UserBuffer[] = [];

  constructor(kernel: EmbeddedKernel) {
    this.kernel = kernel;
    const arenas = each(() => this.#alloc(2 ** 16));
    const paths = hostilePaths.map((path) => this.#path(path));
    // Ids that small numbers are not.
    for (let i = 0; i < 300; i++) HashMap.create(kernel, { key: u32, ...options }).close();
    this.guards = Object.keys(guardMakers).map((name) => new Guard(kernel, name));
    this.desks = each(() => this.#alloc(4096));
    const loose = this.#alloc(2 ** 18);
    loose.bytes.set(loose.bytes.map((_, i) => i * 31 + 7));
    this.#seal(loose.bytes);
    // The first page and the last belong to nobody (docs/architecture.md).
    const { buffer } = kernel.share().memory;
    for (const address of [0, kernel.maxMemory - 4096]) this.#seal(new Uint8Array(buffer, address, 4096));
    const moat = this.#alloc(MEMORY / 2);
    this.aims = {
      arenas: arenas.map(({ address, bytes }) => ({ address, length: bytes.length })),
      forbidden: { address: moat.address, length: arenas.at(-1)!.address - moat.address },
      paths,
      memory: kernel.maxMemory,
      guardIds: this.guards.map(({ id }) => id),
    };
  }

  #alloc(size: number): UserBuffer {
    const buffer = this.kernel.alloc(size);
    this.#buffers.push(buffer);
    return buffer;
  }

  #seal(bytes: Uint8Array): void {
    this.#sealed.push({ bytes, was: bytes.slice() });
  }

  #path(path: string): number {
    const buffer = this.#alloc(path.length + 1);
    buffer.bytes.set(new TextEncoder().encode(path));
    return buffer.address;
  }

  /** What nobody aimed at is what it was. */
  check(): void {
    for (const guard of this.guards) guard.check();
    for (const { bytes, was } of this.#sealed) {
      expect(Buffer.compare(bytes, was), `memory at 0x${bytes.byteOffset.toString(16)}`).toBe(0);
    }
  }

  [Symbol.dispose](): void {
    for (const guard of this.guards) guard[Symbol.dispose]();
    for (const buffer of this.#buffers) buffer[Symbol.dispose]();
  }
}

/** A thread that makes no call in this time hangs: none takes a hundredth of it. */
const PATIENCE_MS = 30_000;
const LOOK_MS = 250;

/** Looks at the field, and whether all threads make calls, until it is told to stop. Aborts when it finds something. */
function watch(field: Field, log: SharedArrayBuffer): { signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const last = each(() => ({ calls: 0, at: Date.now() }));
  const timer = setInterval(() => {
    try {
      field.check();
      last.forEach((seen, index) => {
        const [calls, cmd, address, size] = new Uint32Array(
          log,
          index * LOG_WORDS * 4,
          LOG_WORDS,
        ) as unknown as number[];
        if (calls !== seen.calls) last[index] = { calls: calls!, at: Date.now() };
        else if (Date.now() - seen.at > PATIENCE_MS) {
          const call = describeCall({ cmd: cmd!, address: address!, size: size! }, field.kernel.share().memory.buffer);
          throw new Error(`Thread ${index} hangs, or has ended, at call ${calls}: ${call}`);
        }
      });
    } catch (error) {
      controller.abort(error);
    }
  }, LOOK_MS);
  return { signal: controller.signal, stop: () => clearInterval(timer) };
}

describe(`hostile threads (TEST_SEED=${seed})`, () => {
  it(
    "neither trap nor hang, and change nothing that is not theirs",
    async () => {
      using kernel = await EmbeddedKernel.create({ maxMemory: MEMORY, possibleCpus: 3 });
      const checkAll = watchLeaks(kernel);
      {
        using field = new Field(kernel);
        const checkRest = watchLeaks(kernel);
        // The threads leave none.
        const roomForFindings = kernel.alloc(2 ** 16);
        const log = new SharedArrayBuffer(crewSize * LOG_WORDS * 4);
        const { signal, stop } = watch(field, log);
        const args = each((index) => {
          const { address, bytes } = field.desks[index]!;
          const desk = { address, length: bytes.length };
          return { aims: field.aims, desk, log, index, seed: seed + index, ms: seconds * 1000 };
        });
        const answers = await run(kernel, "beHostile", args, signal).finally(stop);

        // It was no idle threat: every command succeeded, and failed in many ways.
        const sum = (what: "succeeded" | "failed", which: number): number =>
          answers.reduce((all, each) => all + (each[what][which] ?? 0), 0);
        for (const cmd of cmds) expect(sum("succeeded", cmd), `command ${cmd}`).toBeGreaterThan(0);
        for (const errno of [E2BIG, EBADF, EFAULT, EINVAL, ENOENT, ENOMEM, EPERM]) {
          expect(sum("failed", errno), `errno ${errno}`).toBeGreaterThan(10);
        }
        console.log(`${answers.reduce((all, { calls }) => all + calls, 0)} hostile calls`);

        field.check();
        roomForFindings[Symbol.dispose]();
        expect(kernel.check()).toEqual([]);
        for (let fd = 0; fd < 65_536; fd++) kernel.close(fd);
        empty(kernel, "/sys/fs/bpf");
        expect(kernel.pins()).toEqual([]);
        checkRest();
        field.check();
      }
      checkAll();
      expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
      useToTheFull(kernel);
      checkAll();
    },
    seconds * 1000 + 120_000,
  );
});

/** Removes all that is in a directory. */
function empty(kernel: EmbeddedKernel, directory: string): void {
  for (const { name, isDirectory } of kernel.readdir(directory) as DirectoryEntry[]) {
    const path = `${directory}/${name}`;
    if (isDirectory) empty(kernel, path);
    expect(isDirectory ? kernel.rmdir(path) : kernel.unlink(path)).toBe(0);
  }
}

/** Every kind of map, and nearly all of the memory at once. */
function useToTheFull(kernel: EmbeddedKernel): void {
  for (const name of Object.keys(guardMakers)) {
    using guard = new Guard(kernel, name);
    guard.check();
  }
  using large = kernel.alloc(Math.floor(MEMORY * 0.85));
  expect(large.bytes.at(-1)).toBe(0);
  using map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 10_000 });
  for (let i = 0; i < 10_000; i++) map.set(i, i);
  expect(map.count()).toBe(10_000);
  using attr = kernel.alloc(16);
  expect(kernel.bpf(BPF_MAP_GET_NEXT_ID, attr, 12)).toBe(0);
}
