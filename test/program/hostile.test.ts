/**
 * Hostile programs on the embedded kernel: each is refused at load, or ends in a fault; then the kernel's structures are as they
 * must be, and no other map has changed.
 */
import {
  ArrayMap,
  ArrayOfMaps,
  BpfError,
  EmbeddedKernel,
  HashMap,
  LruHashMap,
  PerCpuArray,
  ProgramArray,
  QueueMap,
  RingBuffer,
  bytes,
  u32,
  u64,
} from "tsbpf";
import { Program, ProgramFaultError } from "tsbpf/program";
import { BPF_PROG_TYPE_XDP } from "tsbpf/uapi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { ARRAY_VALUE, CONTEXT_BYTES, HASH_VALUE, type Hostile, ONE_VALUE, PACKET_BYTES, hostile } from "./_hostile.js";

/** Enough for all that ends. */
const BUDGET = 100_000;
const BPF_F_SLEEPABLE = 1 << 4;

it("there are enough of them", () => {
  const all = Object.values(hostile).flat();
  expect(all.length).toBeGreaterThan(200);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});

describe.each([true, false])("compiled: %s", (compile) => {
  let kernel: EmbeddedKernel;
  const fds: Record<string, number> = {};
  let hash: HashMap<number, Uint8Array>;
  let lru: LruHashMap<number, Uint8Array>;
  let queue: QueueMap<bigint>;
  let ring: RingBuffer;
  const toClose: { close(): void }[] = [];
  /** Maps of others, between the programs' own. */
  const guards: ArrayMap<Uint8Array>[] = [];

  beforeAll(async () => {
    kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 27, compile });
    kernel.setProgramBudget(BUDGET);
    const guard = (): void => {
      const map = ArrayMap.create(kernel, { value: bytes(64), maxEntries: 16 });
      for (let i = 0; i < 16; i++) map.set(i, new Uint8Array(64).fill(0xc0 + i));
      guards.push(map);
    };
    const keep = <M extends { readonly fd: number; close(): void }>(name: string, map: M): M => {
      fds[name] = map.fd;
      toClose.push(map);
      guard();
      return map;
    };
    guard();
    const maxEntries = 4;
    keep("array", ArrayMap.create(kernel, { value: bytes(ARRAY_VALUE), maxEntries }));
    hash = keep("hash", HashMap.create(kernel, { key: u32, value: bytes(HASH_VALUE), maxEntries }));
    lru = keep("lru", LruHashMap.create(kernel, { key: u32, value: bytes(HASH_VALUE), maxEntries: 64 }));
    keep("percpu", PerCpuArray.create(kernel, { value: bytes(ARRAY_VALUE), maxEntries }));
    keep("one", ArrayMap.create(kernel, { value: bytes(ONE_VALUE), maxEntries: 1 }));
    queue = keep("queue", QueueMap.create(kernel, { value: u64, maxEntries }));
    ring = keep("ring", RingBuffer.create(kernel, { size: 4096 }));
    keep("programs", ProgramArray.create(kernel, { maxEntries }));
    const inner = keep("inner", ArrayMap.create(kernel, { value: u64, maxEntries }));
    keep("outer", ArrayOfMaps.create(kernel, { inner, maxEntries })).set(1, inner);
    fill();
  });

  afterAll(() => {
    for (const map of [...toClose, ...guards]) map.close();
    kernel[Symbol.dispose]();
  });

  /** What lookups find, and pops pop; and room for records. */
  function fill(): void {
    hash.set(1, new Uint8Array(HASH_VALUE));
    lru.set(1, new Uint8Array(HASH_VALUE));
    while (queue.pop() !== undefined);
    queue.push(1n);
    ring.poll();
  }

  /** What becomes of a program: "refused", "fault", or what it should not: "ended". */
  function fateOf({ name, type, text }: Hostile): string {
    const insns = assemble(text.replaceAll(/\$(\w+)/g, (_, map: string) => String(fds[map])));
    const isXdp = type === BPF_PROG_TYPE_XDP;
    let program: Program;
    try {
      const progFlags = isXdp ? 0 : BPF_F_SLEEPABLE;
      program = Program.load(kernel, { name: "hostile", type, license: "GPL", progFlags, insns });
    } catch (error) {
      if (error instanceof BpfError) return "refused";
      throw error;
    }
    try {
      program.run(isXdp ? { data: new Uint8Array(PACKET_BYTES) } : { context: new Uint8Array(CONTEXT_BYTES) });
      return `${name}: ended`;
    } catch (error) {
      if (error instanceof ProgramFaultError) return "fault";
      throw error;
    } finally {
      program.close();
    }
  }

  it.each(Object.entries(hostile))("%s", (_, programs) => {
    const escaped: string[] = [];
    for (const program of programs) {
      const fate = fateOf(program);
      if (fate !== "refused" && fate !== "fault") escaped.push(fate);
      for (const [i, guard] of guards.entries()) {
        for (let index = 0; index < 16; index++) {
          const value = guard.get(index)!;
          if (value.some((byte) => byte !== 0xc0 + index)) expect.fail(`${program.name}: guard ${i} has changed`);
        }
      }
      const found = kernel.check();
      if (found.length > 0) expect.fail(`${program.name}: ${JSON.stringify(found)}`);
      fill();
    }
    expect(escaped).toEqual([]);
  });
});
