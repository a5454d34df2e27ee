/**
 * Helpers of the embedded kernel: which programs may call them, as Linux answers; and that whatever they are given leaves the kernel as it
 * must be. What they do is compared in objects.test.ts.
 */
import {
  ArrayMap,
  EmbeddedKernel,
  GenericMap,
  HashMap,
  type Kernel,
  LpmTrie,
  PerCpuArray,
  PerfEventArray,
  QueueMap,
  RingBuffer,
  UserRingBuffer,
  bytes,
  spinLock,
  struct,
  u32,
  u64,
} from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { Program, ProgramFaultError, VerifierError } from "tsbpf/program";
import {
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY_PROG,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_XDP,
  __BPF_FUNC_MAX_ID,
} from "tsbpf/uapi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { engineModule } from "../../src/kernels/embedded/engine.js";
import { helperName } from "../../src/uapi/helper_name.js";
import { describeLinux } from "../kernels.js";

const BPF_F_SLEEPABLE = 1 << 4;
const types = [
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_XDP,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_SYSCALL,
];
const ids = Array.from({ length: __BPF_FUNC_MAX_ID - 1 }, (_, i) => i + 1);

function load(kernel: Kernel, type: number, text: string, license = "GPL"): Program {
  const progFlags = type === BPF_PROG_TYPE_SYSCALL ? BPF_F_SLEEPABLE : 0;
  return Program.load(kernel, { name: "helpers", type, license, progFlags, insns: assemble(text) });
}

/** Whether programs of a type may call a helper; "GPL" if those under the GPL alone. */
function mayCall(kernel: Kernel, type: number, id: number): boolean | "GPL" {
  const text = `r2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\ncall ${id}\nr0 = 0\nexit`;
  const whyNot = (license: string): string => {
    try {
      load(kernel, type, text, license).close();
      return "";
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      return error.log;
    }
  };
  if (/unknown func|cannot use helper|invalid func|no such helper/.test(whyNot("GPL"))) return false;
  return whyNot("Proprietary").includes("GPL-restricted") ? "GPL" : true;
}

describeLinux("who may call a helper", () => {
  it("is as on Linux, of those that there are", async () => {
    using linux = LinuxKernel.open();
    using embedded = await EmbeddedKernel.create();
    const differing: string[] = [];
    let known = 0;
    for (const id of ids) {
      const here = types.map((type) => mayCall(embedded, type, id));
      if (here.every((may) => may === false)) continue;
      known++;
      const there = types.map((type) => mayCall(linux, type, id));
      // On Linux syscall programs have one of this name too, for a pointer that no program of that type can have.
      if (helperName(id) === "xdp_get_buff_len") there[types.indexOf(BPF_PROG_TYPE_SYSCALL)] = false;
      if (here.join() !== there.join())
        differing.push(`${id} ${helperName(id)}: ${here.join()}; Linux: ${there.join()}`);
    }
    expect(differing).toEqual([]);
    expect(known).toBeGreaterThan(55);
  });
});

describe("helpers that compiled code calls by name", () => {
  it("are named as the kernel names them", async () => {
    const known = new Set(ids.map((id) => `bpf_${helperName(id)}`));
    const named = WebAssembly.Module.exports(await engineModule(true)).filter(({ name }) => name.startsWith("bpf_"));
    expect(named.filter(({ name }) => !known.has(name))).toEqual([]);
    expect(named.length).toBeGreaterThan(60);
  });
});

const CONTEXT_BYTES = 64;
const PACKET_BYTES = 64;
const VALUE_BYTES = 24;

/** Numbers that repeat: mulberry32. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

describe.each([true, false])("arguments, compiled: %s", (compile) => {
  let kernel: EmbeddedKernel;
  const maps: Record<string, { readonly fd: number; close(): void }> = {};
  let guard: ArrayMap<Uint8Array>;
  const GUARDED = new Uint8Array(64).fill(0xc5);

  beforeAll(async () => {
    kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 27, compile });
    kernel.setProgramBudget(20_000);
    const locked = struct({ sum: u64, lock: spinLock });
    const hash = HashMap.create(kernel, { key: u32, value: bytes(VALUE_BYTES), maxEntries: 8 });
    hash.set(1, new Uint8Array(VALUE_BYTES));
    guard = ArrayMap.create(kernel, { value: bytes(64), maxEntries: 16 });
    for (let i = 0; i < 16; i++) guard.set(i, GUARDED);
    const trie = LpmTrie.create(kernel, { key: bytes(8), value: u64, maxEntries: 8, mapFlags: BPF_F_NO_PREALLOC });
    const samples = UserRingBuffer.create(kernel, { size: 4096 });
    samples.push(new Uint8Array(16));
    const events = PerfEventArray.create(kernel);
    events.events({ pages: 1 });
    const ports = GenericMap.create(kernel, { type: "devmap_hash", keySize: 4, valueSize: 8, maxEntries: 4 });
    ports.set(Uint8Array.of(1, 0, 0, 0), Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    Object.assign(maps, {
      events,
      ports,
      devices: GenericMap.create(kernel, { type: "devmap", keySize: 4, valueSize: 4, maxEntries: 4 }),
      array: ArrayMap.create(kernel, { value: bytes(VALUE_BYTES), maxEntries: 4 }),
      hash,
      percpu: PerCpuArray.create(kernel, { value: u64, maxEntries: 4 }),
      locks: ArrayMap.create(kernel, { value: locked, maxEntries: 4 }),
      trie,
      queue: QueueMap.create(kernel, { value: u64, maxEntries: 4 }),
      ring: RingBuffer.create(kernel, { size: 4096 }),
      samples,
    });
  });

  afterAll(() => {
    for (const map of [...Object.values(maps), guard]) map.close();
    kernel[Symbol.dispose]();
  });

  /** How a register gets its argument. r6 is the context, and r7 a value of `array`. */
  function argument(reg: string, below: (n: number) => number): string {
    const names = Object.keys(maps);
    const plain = ["0", "1", "-1", "8", "16", "64", "255", "-8", "65536", "2147483647", "4294967295 ll"];
    const wild = ["4096", "-4096", "9223372036854775807 ll", "4294967296 ll", "-9223372036854775808 ll", "1048576"];
    const map = `${reg} = map[fd:${maps[names[below(names.length)]!]!.fd}]`;
    const moved = (base: string): string =>
      `${reg} = ${base}\n${reg} += ${[-512, -64, -16, -8, -4, -1, 0, 4, 8][below(9)]}`;
    switch (below(8)) {
      case 0:
        return `${reg} = ${wild[below(wild.length)]}`;
      case 1:
      case 2:
        return `${reg} = ${plain[below(plain.length)]}`;
      case 3:
        return below(4) === 0 ? `${map}\n${reg} += ${[1, 8, -8, 64][below(4)]}` : map;
      case 4:
        return moved("r10");
      case 5:
        return below(3) === 0 ? moved("r7") : `${reg} = r7`;
      case 6:
        return below(3) === 0 ? moved("r6") : `${reg} = r6`;
      default:
        return `${reg} = subprog[body]${below(4) === 0 ? `\n${reg} += 1` : ""}`;
    }
  }

  /** Calls the helper with arguments that may be anything, and then touches what it returned. */
  function textOf(id: number, below: (n: number) => number): string {
    const names = Object.keys(maps);
    const fill = [8, 16, 24, 32].map((off) => `*(u64 *)(r10 - ${off}) = ${[0, 1, 8, -1, 0x25][below(5)]}`);
    const lookup = `r2 = r10\nr2 += -4\n*(u32 *)(r10 - 4) = 1\nr1 = map[fd:${maps["array"]!.fd}]\ncall 1\nif r0 == 0 goto out\nr7 = r0`;
    // Which maps the program has decides what is its own: all of them.
    const all = Object.values(maps).map(({ fd }) => `r8 = map[fd:${fd}]`);
    const args = [1, 2, 3, 4, 5].map((n) => {
      // Some are right, or few calls would come further than the first.
      if (n === 1 && below(2) === 0)
        return below(2) === 0 ? "r1 = r6" : `r1 = map[fd:${Object.values(maps)[below(names.length)]!.fd}]`;
      return argument(`r${n}`, below);
    });
    const use = ["r1 = *(u64 *)(r0 + 0)", "*(u64 *)(r0 + 0) = 0", "*(u64 *)(r0 - 8) = 4096", ""][below(4)]!;
    const again = below(3) === 0 ? `\nr8 = r0\n${args.join("\n")}\ncall ${id}` : "";
    return [
      "r6 = r1\nr8 = subprog[body]",
      ...all,
      ...fill,
      lookup,
      ...args,
      `call ${id}${again}`,
      use,
      "r0 = 0\nout: exit",
      "body: r0 = 0\nexit",
    ].join("\n");
  }

  it.each(types)("whatever is given to helpers of type %i ends the program, not the kernel", (type) => {
    const below = numbers(1000 * type + (compile ? 1 : 0));
    const ends = { ended: 0, fault: 0 };
    for (const id of ids.filter((one) => mayCall(kernel, type, one) !== false)) {
      for (let round = 0; round < 40; round++) {
        const text = textOf(id, below);
        using program = load(kernel, type, text);
        const isPacket = [BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_SOCKET_FILTER].includes(type);
        try {
          program.run(isPacket ? { data: new Uint8Array(PACKET_BYTES) } : { context: new Uint8Array(CONTEXT_BYTES) });
          ends.ended++;
        } catch (error) {
          if (!(error instanceof ProgramFaultError)) throw new Error(`${helperName(id)}: ${text}`, { cause: error });
          ends.fault++;
        }
      }
      const found = kernel.check();
      if (found.length > 0) expect.fail(`${helperName(id)}: ${JSON.stringify(found)}`);
      for (let i = 0; i < 16; i++) expect(guard.get(i), helperName(id)).toEqual(GUARDED);
    }
    expect(ends.ended).toBeGreaterThan(100);
    expect(ends.fault).toBeGreaterThan(100);
  });

  const KEY = Uint8Array.of(32, 0, 0, 0, 10, 0, 0, 1);
  const FIND = `*(u32 *)(r10 - 8) = 32\n*(u32 *)(r10 - 4) = 16777226\nr2 = r10\nr2 += -8`;

  /** Runs a program that has found KEY in a trie with flags. @returns The value then, and the fault. */
  function ofTrie(body: string, flags = 0): { value: bigint | undefined; fault: string | undefined } {
    const mapFlags = BPF_F_NO_PREALLOC | flags;
    using trie = LpmTrie.create(kernel, { key: bytes(8), value: u64, maxEntries: 8, mapFlags });
    trie.set(KEY, 7n);
    const lookup = `${FIND}\nr1 = map[fd:${trie.fd}]\ncall 1\nif r0 == 0 goto out`;
    using program = load(kernel, BPF_PROG_TYPE_SYSCALL, `${lookup}\n${body}\nr0 = 0\nout: exit`);
    let fault: string | undefined;
    try {
      program.run({ context: new Uint8Array(CONTEXT_BYTES) });
    } catch (error) {
      if (!(error instanceof ProgramFaultError)) throw error;
      fault = error.fault.reason;
    }
    return { value: trie.get(KEY), fault };
  }

  it("of a trie's elem the value alone is the program's", () => {
    expect(ofTrie("*(u64 *)(r0 + 0) = 9")).toEqual({ value: 9n, fault: undefined });
    for (let off = -32; off <= 40; off += 4) {
      if (off === 0) continue;
      const { value, fault } = ofTrie(`*(u64 *)(r0 ${off < 0 ? "-" : "+"} ${Math.abs(off)}) = 4096`);
      expect({ off, value, fault }).toEqual({ off, value: 7n, fault: expect.stringContaining("memory") as string });
    }
  });

  it("a trie that programs may only read is only read", () => {
    expect(ofTrie("r1 = *(u64 *)(r0 + 0)", BPF_F_RDONLY_PROG)).toEqual({ value: 7n, fault: undefined });
    const { value, fault } = ofTrie("*(u64 *)(r0 + 0) = 9", BPF_F_RDONLY_PROG);
    expect({ value, fault }).toEqual({ value: 7n, fault: expect.any(String) as string });
  });

  it("a value of a trie that was found in a callback stays the program's", () => {
    using trie = LpmTrie.create(kernel, { key: bytes(8), value: u64, maxEntries: 8, mapFlags: BPF_F_NO_PREALLOC });
    using hash = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 8 });
    trie.set(KEY, 7n);
    hash.set(1, 1n);
    hash.set(2, 2n);
    const each = (body: string): string =>
      `r1 = map[fd:${hash.fd}]\nr2 = subprog[${body}]\nr3 = r10\nr3 += -16\nr4 = 0\n*(u64 *)(r10 - 16) = 0\ncall 164`;
    const text = [
      each("find"),
      each("other"),
      "r0 = 0\nexit",
      `find: ${FIND}\nr1 = map[fd:${trie.fd}]\ncall 1\nif r0 == 0 goto out\nr1 = *(u64 *)(r0 + 0)\nr1 += 1\n*(u64 *)(r0 + 0) = r1`,
      "out: r0 = 0\nexit",
      // The copy of the key: it must not be where the copy of the value was.
      "other: *(u32 *)(r2 + 0) = 0\nr0 = 0\nexit",
    ].join("\n");
    using program = load(kernel, BPF_PROG_TYPE_SYSCALL, text);
    program.run();
    expect(trie.get(KEY)).toBe(9n);
  });

  it.each(["trie", "hash"])("with a lock held nothing waits for another: a lookup in a %s", (name) => {
    const lock = `*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4\nr1 = map[fd:${maps["locks"]!.fd}]\ncall 1\nif r0 == 0 goto out\nr6 = r0\nr1 = r0\nr1 += 8\ncall 93`;
    const key = name === "trie" ? FIND : "*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4";
    const text = `${lock}\n${key}\nr1 = map[fd:${maps[name]!.fd}]\ncall 1\nr1 = r6\nr1 += 8\ncall 94\nr0 = 0\nout: exit`;
    using program = load(kernel, BPF_PROG_TYPE_SYSCALL, text);
    // Compiled code looks up in a hash, for which it takes no lock, without asking.
    if (name === "trie" || !compile) expect(() => program.run()).toThrow(ProgramFaultError);
    else program.run();
    expect((maps["locks"] as ArrayMap<unknown>).get(1, { lock: true })).toBeDefined();
    expect(kernel.check()).toEqual([]);
  });
});
