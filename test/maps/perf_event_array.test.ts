/**
 * PerfEventArray: what programs send is read, on all kernels; and what an elem is.
 */
import {
  EmbeddedKernel,
  GenericMap,
  type Kernel,
  PerfEventArray,
  type PerfEvents,
  RingBuffer,
  array,
  struct,
  u32,
  u64,
  u8,
} from "tsbpf";
import { Program } from "tsbpf/program";
import { BPF_F_PRESERVE_ELEMS, BPF_F_RDONLY, BPF_PROG_TYPE_XDP } from "tsbpf/uapi";
import { beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { PerfRing, hasPerfEvents } from "../../src/maps/_perf_ring.js";
import { forEachKernel } from "../kernels.js";
import { forEachWay, thrownBy, useBpffs } from "./_ways.js";

const ENOENT = -2;
const EINVAL = -22;
const EFAULT = -14;
const E2BIG = -7;
const ENOSPC = -28;

/** A program that sends the first `size` bytes (at most 64) of its packet, and what the flags say; it returns what the helper did. */
function sender(kernel: Kernel, fd: number, size: number, flags = "4294967295 ll"): Program {
  const text = `
    r6 = r1
    r2 = 0
    r3 = r10
    r3 += -64
    r4 = 64
    call 189 // bpf_xdp_load_bytes
    r1 = r6
    r2 = map[fd:${fd}]
    r3 = ${flags}
    r4 = r10
    r4 += -64
    r5 = ${size}
    call 25 // bpf_perf_event_output
    exit`;
  return Program.load(kernel, { name: "sender", type: BPF_PROG_TYPE_XDP, license: "GPL", insns: assemble(text) });
}

/** Sends a packet's first `size` bytes, so many times. */
function send(kernel: Kernel, fd: number, packet: Uint8Array, size: number = packet.length, flags?: string): number {
  using program = sender(kernel, fd, size, flags);
  return program.run({ data: packet }).retval | 0;
}

const packetOf = (first: number, length = 64): Uint8Array => Uint8Array.from({ length }, (_, i) => first + i);
const wordOf = (word: number): Uint8Array => new Uint8Array(Uint32Array.of(word).buffer);

/** What an elem of a CPU can be. */
function openRing(kernel: Kernel, cpu: number): { readonly fd: number; [Symbol.dispose](): void } {
  if (!hasPerfEvents(kernel)) return RingBuffer.create(kernel, { size: 4096 });
  const ring = PerfRing.open(kernel, cpu, cpu, 1);
  if (typeof ring === "number") throw new Error(`perf_event_open returned ${ring}`);
  return ring;
}

const numeric = (a: number, b: number): number => a - b;
const tick = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

forEachKernel((_, open) => {
  let kernel: Kernel;
  beforeAll(async () => {
    kernel = await open();
    // The first that is waited for takes what stays.
    using ring = openRing(kernel, 0);
    await kernel.readable(ring.fd, { timeoutMs: 0 });
  });

  it("events come as they were sent, a multiple of 8 less 4 bytes long", async () => {
    using events = PerfEventArray.create(kernel, { name: "events" });
    expect([events.length, events.info().typeName]).toEqual([kernel.possibleCpus, "perf_event_array"]);
    expect(send(kernel, events.fd, packetOf(1))).toBe(ENOENT);
    using reader = events.events();
    for (const size of [0, 1, 4, 5, 12, 13, 64]) expect(send(kernel, events.fd, packetOf(size), size)).toBe(0);
    const found = reader.poll();
    expect(found.length).toBe(7);
    for (const { cpu, data } of found) {
      expect(cpu).toBeLessThan(kernel.possibleCpus);
      expect((data.length + 4) % 8).toBe(0);
    }
    // Linux may have moved this thread to another CPU meanwhile.
    const seen = found.map(({ data }) => data).sort((a, b) => a.length - b.length || a[0]! - b[0]!);
    expect(seen.map((data) => data.length)).toEqual([4, 4, 4, 12, 12, 20, 68]);
    expect(seen.at(-1)!.subarray(0, 64)).toEqual(packetOf(64));
    expect(reader.poll()).toEqual([]);
    expect(reader.lost).toBe(0);
  });

  it("behind the bytes comes the packet, as much as the flags say", async () => {
    using events = PerfEventArray.create(kernel);
    using reader = events.events({ pages: 1 });
    const packet = packetOf(7);
    expect(send(kernel, events.fd, packet, 3, "0x9ffffffff ll")).toBe(0);
    expect(Buffer.from(reader.poll()[0]!.data.subarray(0, 12)).toString("hex")).toBe("0708090708090a0b0c0d0e0f");
    expect(send(kernel, events.fd, packet, 3, "0x41ffffffff ll")).toBe(EFAULT);
    expect(send(kernel, events.fd, packet, 3, "0x10000000000000 ll")).toBe(EINVAL);
    expect(send(kernel, events.fd, packet, 3, "12345")).toBe(E2BIG);
    expect(reader.poll()).toEqual([]);
  });

  it("with a codec they are what it says", async () => {
    const record = struct({ a: u32, b: u64, c: array(u8, 2) }, { packed: true });
    using events = PerfEventArray.create(kernel, { record });
    using reader = events.events();
    expect(send(kernel, events.fd, packetOf(1), record.size)).toBe(0);
    expect(reader.poll()[0]!.data).toEqual({ a: 0x04030201, b: 0x0c0b0a0908070605n, c: [13, 14] });
    expect(send(kernel, events.fd, packetOf(1), 3)).toBe(0);
    expect(() => reader.poll()).toThrow(RangeError);
    using again = PerfEventArray.fromId(kernel, events.id, events.codecs);
    expect(again.codecs).toEqual({ record });
  });

  it("many more than a ring holds, whatever their length, as long as they are read", async () => {
    using events = PerfEventArray.create(kernel);
    using reader = events.events({ pages: 1 });
    const most = 700;
    using program = sender(kernel, events.fd, 40, "0x18ffffffff ll");
    for (let i = 0; i < most; i++) {
      const packet = packetOf(i, 64 + (i % 50));
      expect(program.run({ data: packet }).retval).toBe(0);
      const [event, ...others] = reader.poll();
      expect(others).toEqual([]);
      expect(event!.data.subarray(0, 64)).toEqual(
        new Uint8Array([...packet.subarray(0, 40), ...packet.subarray(0, 24)]),
      );
    }
    expect(reader.lost).toBe(0);
  });

  it("a full ring loses them, and says how many", async () => {
    using events = PerfEventArray.create(kernel);
    using reader = events.events({ pages: 1 });
    using program = sender(kernel, events.fd, 60);
    let lost = 0;
    let sent = 0;
    // Enough for all CPUs' rings.
    for (let i = 0; i < 200 * kernel.possibleCpus; i++) {
      if (program.run({ data: packetOf(i) }).retval === 0) sent++;
      else lost++;
    }
    expect(lost).toBeGreaterThan(0);
    expect(send(kernel, events.fd, packetOf(0), 60)).toBeOneOf([0, ENOSPC]);
    const found = reader.poll();
    expect(found.length).toBeGreaterThanOrEqual(sent);
    // Linux tells it to who reads what came next, on each CPU.
    for (let i = 0; i < 20; i++) send(kernel, events.fd, packetOf(1));
    reader.poll();
    expect(reader.lost).toBeGreaterThan(0);
  });

  it("a poll takes as many as it is asked for, and leaves the rest", async () => {
    using events = PerfEventArray.create(kernel, { record: u32 });
    using reader = events.events();
    for (let i = 0; i < 5; i++) send(kernel, events.fd, packetOf(i), 4);
    expect(reader.poll(0)).toEqual([]);
    const found = [...reader.poll(2), ...reader.poll(2), ...reader.poll(2), ...reader.poll(2)];
    expect(found.map(({ data }) => data & 0xff).toSorted(numeric)).toEqual([0, 1, 2, 3, 4]);
  });

  it("a loop waits for them, and what it does not take stays for the next", async () => {
    using events = PerfEventArray.create(kernel, { record: u32 });
    using reader = events.events();
    const take = async (from: PerfEvents<number>, count: number): Promise<number[]> => {
      const found: number[] = [];
      for await (const { data } of from) {
        found.push(data & 0xff);
        if (found.length === count) break;
      }
      return found;
    };
    const first = take(reader, 2);
    await tick(20);
    for (let i = 1; i < 5; i++) send(kernel, events.fd, packetOf(i), 4);
    const rest = [...(await first), ...(await take(reader, 1)), reader.poll()[0]!.data & 0xff];
    expect(rest.toSorted(numeric)).toEqual([1, 2, 3, 4]);
    const later = take(reader, 1);
    await tick(20);
    send(kernel, events.fd, packetOf(9), 4);
    expect(await later).toEqual([9]);
  });

  it("batches are all that is there; a signal ends them, and closing too", async () => {
    using events = PerfEventArray.create(kernel, { record: u32 });
    const reader = events.events();
    const batches = reader.batches();
    for (let i = 0; i < 3; i++) send(kernel, events.fd, packetOf(i), 4);
    expect((await batches.next()).value).toHaveLength(3);
    const ends = new AbortController();
    const aborted = reader.records({ signal: ends.signal }).next();
    setTimeout(() => ends.abort(new Error("enough")), 10);
    await expect(aborted).rejects.toThrow("enough");
    const waiting = batches.next();
    setTimeout(() => events.close(), 10);
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(reader.isOpen).toBe(false);
    expect(thrownBy(() => reader.poll())).toMatchObject({ code: "EBADF" });
    expect(thrownBy(() => events.events())).toMatchObject({ code: "EBADF" });
    reader.close();
  });

  it("there is one reader at a time", async () => {
    using events = PerfEventArray.create(kernel, { name: "events" });
    const first = events.events();
    expect(() => events.events()).toThrow('The events of "events" are being read already');
    first.close();
    expect(send(kernel, events.fd, packetOf(1))).toBe(ENOENT);
    using second = events.events();
    send(kernel, events.fd, packetOf(1));
    expect(second.poll()).toHaveLength(1);
    expect(first.lost).toBe(0);
  });

  it("pages are a power of two", async () => {
    using events = PerfEventArray.create(kernel);
    for (const pages of [0, 3, -1, 2 ** 19, 1.5]) expect(() => events.events({ pages })).toThrow(RangeError);
  });

  it("of an array for fewer CPUs, the others send nothing", async () => {
    using events = PerfEventArray.create(kernel, { maxEntries: 1 });
    using _ = events.events();
    expect(send(kernel, events.fd, packetOf(1))).toBeOneOf([0, E2BIG]);
    expect(send(kernel, events.fd, packetOf(1), 8, "1")).toBe(E2BIG);
  });

  it("an elem ends with the fd by which it was put there, unless the map preserves it", async () => {
    for (const mapFlags of [0, BPF_F_PRESERVE_ELEMS]) {
      using events = PerfEventArray.create(kernel, { mapFlags });
      const other = GenericMap.fromId(kernel, events.id);
      const rings = Array.from({ length: kernel.possibleCpus }, (_, cpu) => openRing(kernel, cpu));
      for (const [cpu, { fd }] of rings.entries()) other.set(wordOf(cpu), wordOf(fd));
      expect(send(kernel, events.fd, packetOf(1))).toBe(0);
      other.close();
      expect(send(kernel, events.fd, packetOf(1))).toBe(mapFlags === 0 ? ENOENT : 0);
      for (const ring of rings) ring[Symbol.dispose]();
      // Linux has unmapped what they had.
      expect(send(kernel, events.fd, packetOf(1))).toBeOneOf(mapFlags === 0 ? [ENOENT] : [0, ENOSPC]);
    }
  });
});

forEachWay((way) => {
  const folder = useBpffs(way);

  it("pinned, it is the same for all; and to be written by its fd", () => {
    const kernel = way();
    const path = `${folder()}/events`;
    using events = PerfEventArray.openOrCreate(kernel, path, { name: "events", record: u32 });
    using again = PerfEventArray.openOrCreate(kernel, path, { record: u32 });
    using third = PerfEventArray.open(kernel, path, { access: "read" });
    expect([again.id, third.id]).toEqual([events.id, events.id]);
    expect(thrownBy(() => third.events())).toMatchObject({ code: "EPERM" });
    expect(thrownBy(() => PerfEventArray.openOrCreate(kernel, path, { maxEntries: 999 }))).toMatchObject({
      code: "EEXIST",
    });
    kernel.unlink(path);
  });
});

describe("embedded: an elem is a ring buffer", () => {
  it("of one or more elems, for every CPU; it stays as long as it is there", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
    using events = GenericMap.create(kernel, {
      type: "perf_event_array",
      keySize: 4,
      valueSize: 4,
      maxEntries: 3,
    });
    using ring = RingBuffer.create(kernel, { name: "ring", size: 4096 });
    const { maps } = kernel.usage();
    const key = wordOf;
    const value = wordOf(ring.fd);
    events.set(key(0), value);
    events.set(key(2), value);
    events.set(key(2), value);
    expect(send(kernel, events.fd, packetOf(1), 4, "2")).toBe(0);
    expect(send(kernel, events.fd, packetOf(1), 4, "1")).toBe(ENOENT);
    expect(send(kernel, events.fd, packetOf(1), 4)).toBe(0);
    expect(ring.poll()).toHaveLength(2);
    expect(kernel.count(events.fd)).toBe(2);
    const { id } = ring;
    ring.close();
    expect(kernel.usage().maps).toBe(maps);
    using again = RingBuffer.fromId(kernel, id);
    send(kernel, events.fd, packetOf(5), 4, "2");
    expect(again.poll()).toHaveLength(1);
    again.close();
    expect(kernel.check()).toEqual([]);
    events.delete(key(0));
    expect(kernel.usage().maps).toBe(maps);
    events.delete(key(2));
    expect(kernel.usage().maps).toBe(maps - 1);
    expect(thrownBy(() => events.set(key(0), value))).toMatchObject({
      code: "EBADF",
      hint: "the map is closed, or the fd is not that of a ring buffer, which an elem is in the embedded kernel",
    });
    expect(kernel.check()).toEqual([]);
  });

  it("an image has it, and its rings", async () => {
    using kernel = await EmbeddedKernel.create();
    using events = PerfEventArray.create(kernel, { name: "events" });
    using reader = events.events();
    send(kernel, events.fd, packetOf(1));
    using loaded = await EmbeddedKernel.load(kernel.save());
    expect(loaded.check()).toEqual([]);
    expect(send(loaded, events.fd, packetOf(1))).toBe(0);
    expect(reader.poll()).toHaveLength(1);
    loaded.close(events.fd);
    expect(loaded.check()).toEqual([]);
  });

  it("records larger than the ring are lost", async () => {
    using kernel = await EmbeddedKernel.create();
    using events = PerfEventArray.create(kernel);
    using _ = events.events({ pages: 1 });
    const flagsOf = (bytes: number): string => `${bytes * 2 ** 32 + 0xffffffff} ll`;
    expect(send(kernel, events.fd, packetOf(1, 5000), 0, flagsOf(5000))).toBe(ENOSPC);
    expect(send(kernel, events.fd, packetOf(1, 5000), 4, flagsOf(4090))).toBe(ENOSPC);
    expect(send(kernel, events.fd, packetOf(1, 5000), 4, flagsOf(4080))).toBe(0);
  });

  it("whatever a reader writes where it may, sending goes on, or finds no room", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 1 });
    using events = GenericMap.create(kernel, { type: "perf_event_array", keySize: 4, valueSize: 4, maxEntries: 1 });
    using ring = RingBuffer.create(kernel, { size: 4096 });
    using bystander = RingBuffer.create(kernel, { size: 4096 });
    events.set(wordOf(0), wordOf(ring.fd));
    using position = kernel.mmap(ring.fd, 4096, { writable: true });
    const words = new Uint32Array(position.bytes.buffer, position.bytes.byteOffset, 1024);
    using program = sender(kernel, events.fd, 60, "0x7ffffffff ll");
    const answers = new Set<number>();
    for (let i = 0; i < 3000; i++) {
      words[0] = [0, 8, 4088, 4096, 2 ** 31, 2 ** 32 - 8, 3, i * 72, i * 2654435761][i % 9]!;
      words[1] = i % 5 === 0 ? i : 0;
      answers.add(program.run({ data: packetOf(i) }).retval | 0);
    }
    expect([...answers].toSorted(numeric)).toEqual([ENOSPC, 0]);
    expect(bystander.pending).toBe(0);
    expect(kernel.check()).toEqual([]);
  });

  it("what a thread may not do by its fd", async () => {
    using kernel = await EmbeddedKernel.create();
    using events = PerfEventArray.create(kernel, { name: "events" });
    using other = GenericMap.fromId(kernel, events.id, { access: "read" });
    expect(other.info().mapFlags & BPF_F_RDONLY).toBe(0);
    expect(thrownBy(() => other.delete(new Uint8Array(4)))).toMatchObject({ code: "EPERM" });
  });
});
