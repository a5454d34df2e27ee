/** pcap and pcapng files: what is read from each format, and what is said of cut, damaged and foreign files. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { breakText, type CaptureIndex, indexCapture, packets } from "tsbpf/pcap";
import { PacketInfo, parsePacket } from "../../examples/packets/packet.js";
import {
  BlockWriter,
  captureNames,
  hex,
  join,
  randomIntegers,
  readCapture,
  rowsOf,
  samePackets,
  testSeed,
  viewOf,
  writePcap,
} from "./_captures.js";

const seed = testSeed();

/** Indexes any bytes and parses all that is found: the rows must lie inside the file, in order, without overlap. */
function readAll(bytes: Uint8Array): CaptureIndex {
  const index = indexCapture(bytes);
  const view = viewOf(bytes);
  const info = new PacketInfo();
  let end = 0;
  for (let row = 0; row < index.count; row++) {
    const offset = index.offsets[row]!;
    if (offset < end) throw new Error(`Packet ${row + 1} begins at ${offset}, the one before ends at ${end}`);
    end = offset + index.captured[row]!;
    if (end > bytes.length) throw new Error(`Packet ${row + 1} ends at ${end}, the file at ${bytes.length}`);
    parsePacket(view, offset, index.captured[row]!, index.linkTypes[row]!, info);
  }
  if (index.broken !== undefined) {
    expect(index.broken.offset).toBeGreaterThanOrEqual(0);
    expect(index.broken.offset).toBeLessThanOrEqual(bytes.length);
    expect(breakText(index.broken)).toMatch(/at byte [0-9,]+: ./);
  }
  return index;
}

function says(bytes: Uint8Array): string {
  const { broken } = indexCapture(bytes);
  return broken === undefined ? "whole" : breakText(broken);
}

/** A copy with some bytes replaced. */
function patched(bytes: Uint8Array, at: number, patch: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(patch, at);
  return copy;
}

describe("pcap", () => {
  const first = { data: hex("00 11 22 33"), length: 70, seconds: 4_000_000_000, nanoseconds: 123_456_789 };
  const second = { data: hex("44 55 66"), seconds: 1, nanoseconds: 999_999_999 };

  test.each([
    [true, false],
    [false, false],
    [true, true],
    [false, true],
  ])("little endian %s, nanoseconds %s", (little, nanoseconds) => {
    const file = writePcap([first, second], { little, nanoseconds, linkType: 113 });
    const index = indexCapture(file);
    expect(index.broken).toBeUndefined();
    expect(rowsOf(index)).toEqual([
      {
        offset: 40,
        captured: 4,
        length: 70,
        linkType: 113,
        seconds: 4_000_000_000,
        nanoseconds: nanoseconds ? 123_456_789 : 123_456_000,
      },
      {
        offset: 60,
        captured: 3,
        length: 3,
        linkType: 113,
        seconds: 1,
        nanoseconds: nanoseconds ? 999_999_999 : 999_999_000,
      },
    ]);
  });

  test("a link type may carry the length of the frame check sequence above it", () => {
    const file = patched(writePcap([first]), 20, hex("01 00 00 24"));
    expect(indexCapture(file).linkTypes[0]).toBe(1);
  });

  test("a file without packets is whole", () => {
    expect(indexCapture(writePcap([]))).toMatchObject({ count: 0, broken: undefined });
  });

  test("packets are views of the file, with their times", () => {
    const file = writePcap([first, second], { nanoseconds: true });
    const all = [...packets(file, indexCapture(file))];
    expect(all).toEqual([
      { data: first.data, length: 70, timestampNs: 4_000_000_000_123_456_789n, linkType: 1 },
      { data: second.data, length: 3, timestampNs: 1_999_999_999n, linkType: 1 },
    ]);
    expect(all[0]!.data.buffer).toBe(file.buffer);
  });

  test("a range of packets", () => {
    const file = writePcap(Array.from({ length: 10 }, (_, i) => ({ data: new Uint8Array([i]) })));
    const index = indexCapture(file);
    const range = (from?: number, to?: number) => [...packets(file, index, from, to)].map(({ data }) => data[0]);
    expect(range(3, 6)).toEqual([3, 4, 5]);
    expect(range(8)).toEqual([8, 9]);
    expect(range(8, 100)).toEqual([8, 9]);
    expect(range(-5, 1)).toEqual([0]);
    expect(range(5, 5)).toEqual([]);
  });

  test("the index grows past its first guess", () => {
    const file = writePcap(Array.from({ length: 5000 }, (_, i) => ({ data: new Uint8Array([i]), seconds: i })));
    const index = indexCapture(file);
    expect(index.count).toBe(5000);
    expect([...index.seconds]).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    expect([...index.offsets]).toEqual(Array.from({ length: 5000 }, (_, i) => 24 + 17 * i + 16));
  });

  test("posting an index shares its columns", () => {
    const index = indexCapture(writePcap([first, second]));
    const posted = structuredClone(index);
    expect(rowsOf(posted)).toEqual(rowsOf(index));
    for (const column of ["offsets", "captured", "lengths", "linkTypes", "seconds", "nanoseconds"] as const) {
      posted[column][1] = 7;
      expect(index[column][1]).toBe(7);
    }
  });

  test("reads shared memory, at an offset", () => {
    const file = writePcap([first]);
    const shared = new Uint8Array(new SharedArrayBuffer(file.length + 5), 5);
    shared.set(file);
    expect(rowsOf(indexCapture(shared))).toEqual(rowsOf(indexCapture(file)));
    expect([...[...packets(shared, indexCapture(shared))][0]!.data]).toEqual([...first.data]);
  });
});

describe.each([
  ["little endian", true],
  ["big endian", false],
])("pcapng, %s", (_, little) => {
  const to = new BlockWriter(little);
  const data = hex("00 11 22 33 44");

  test("enhanced, obsolete and simple packets of several interfaces; other blocks are skipped", () => {
    const blocks = [
      to.section(),
      to.interface(1, 0, [[2, Buffer.from("eth0")]]),
      to.block(4, new Uint8Array(8)),
      to.enhanced(0, 1_700_000_000_123_456n, data, 1500),
      to.interface(113, 3, [[9, hex("09")]]),
      to.block(0x0bad, hex("01 02 03")),
      to.enhanced(1, 1_700_000_000_123_456_789n, data),
      to.obsolete(1, 5_000_000_001n, data, 99),
      to.simple(data),
      to.block(5, new Uint8Array(12)),
    ];
    const starts = blocks.map((__, i) => join(...blocks.slice(0, i)).length);
    const index = indexCapture(join(...blocks));
    expect(index.broken).toBeUndefined();
    expect(rowsOf(index)).toEqual([
      { offset: starts[3]! + 28, captured: 5, length: 1500, linkType: 1, seconds: 1.7e9, nanoseconds: 123_456_000 },
      { offset: starts[6]! + 28, captured: 5, length: 5, linkType: 113, seconds: 1.7e9, nanoseconds: 123_456_789 },
      { offset: starts[7]! + 28, captured: 5, length: 99, linkType: 113, seconds: 5, nanoseconds: 1 },
      { offset: starts[8]! + 12, captured: 5, length: 5, linkType: 1, seconds: 0, nanoseconds: 0 },
    ]);
  });

  test("a simple packet is cut by the first interface's snapshot length", () => {
    const file = join(to.section(), to.interface(1, 4), to.simple(data.subarray(0, 4), 1500));
    expect(rowsOf(indexCapture(file))).toMatchObject([{ captured: 4, length: 1500 }]);
  });

  test("each section has its own byte order and interfaces", () => {
    const other = new BlockWriter(!little);
    const file = join(
      join(to.section(), to.interface(1), to.interface(101), to.enhanced(1, 1n, data)),
      join(other.section(), other.interface(276), other.enhanced(0, 2n, data)),
      join(to.section(), to.interface(228), to.enhanced(0, 3n, data)),
    );
    const index = indexCapture(file);
    expect(index.broken).toBeUndefined();
    expect([...index.linkTypes]).toEqual([101, 276, 228]);
    expect([...index.nanoseconds]).toEqual([1000, 2000, 3000]);
    const without = join(file, other.section(), other.enhanced(0, 4n, data));
    expect(says(without)).toMatch(/^packet 4 at byte \d+: packet is of interface 0, the section has 0 interfaces$/);
  });

  // Each clock: if_tsresol, a time in its units, the seconds and nanoseconds that it is.
  test.each([
    ["seconds", "00", 0xffff_ffff_ffffn, 0xffff_ffff_ffff, 0],
    ["milliseconds", "03", 1_700_000_000_123n, 1_700_000_000, 123_000_000],
    ["nanoseconds", "09", 1_700_000_000_999_999_999n, 1_700_000_000, 999_999_999],
    ["nanoseconds, all 64 bits", "09", 0xffff_ffff_ffff_ffffn, 18_446_744_073, 709_551_615],
    ["picoseconds", "0c", 1_700_000_123_456_789_999n, 1_700_000, 123_456_789],
    ["2^-1 s", "81", 3n, 1, 500_000_000],
    ["2^-10 s", "8a", 1025n, 1, 976_562],
    ["2^-32 s", "a0", (1_700_000_000n << 32n) | 0x8000_0000n, 1_700_000_000, 500_000_000],
    ["2^-64 s", "c0", 0x8000_0000_0000_0000n, 0, 500_000_000],
  ])("a clock of %s", (__, resolution, time, seconds, nanoseconds) => {
    const file = join(to.section(), to.interface(1, 0, [[9, hex(resolution)]]), to.enhanced(0, time, data));
    expect(rowsOf(indexCapture(file))).toMatchObject([{ seconds, nanoseconds }]);
  });

  test("a clock with an offset", () => {
    const options = [[14, to.i64(-3600n)] as const, [9, hex("06")] as const];
    const file = join(to.section(), to.interface(1, 0, options), to.enhanced(0, 7200_000_001n, data));
    expect(rowsOf(indexCapture(file))).toMatchObject([{ seconds: 3600, nanoseconds: 1000 }]);
  });

  test("options that end the interface are the last that are read", () => {
    const ended = join(to.u16(1), to.u16(0), to.u32(0), to.u32(0), to.u16(9), to.u16(1), hex("09 00 00 00"));
    const file = join(to.section(), to.block(1, ended), to.enhanced(0, 1n, data));
    expect([...indexCapture(file).nanoseconds]).toEqual([1000]);
  });

  const start = join(to.section(), to.interface(1));
  const packet = to.enhanced(0, 1n, data);
  test.each([
    [
      "cut packet",
      join(start, packet, packet).subarray(0, -8),
      "packet 2 at byte 104: block says 56 bytes, 48 left in the file",
    ],
    [
      "cut block header",
      join(start, packet.subarray(0, 7)),
      "at byte 48: 7 bytes left in the file, wanted a block of at least 12",
    ],
    [
      "sizes that differ",
      patched(join(start, packet), 100, to.u32(64)),
      "packet 1 at byte 48: block says 56 bytes at its beginning and 64 at its end",
    ],
    [
      "odd size",
      patched(join(start, packet, packet), 52, to.u32(57)),
      "packet 1 at byte 48: block says 57 bytes, wanted a multiple of 4",
    ],
    [
      "small size",
      patched(join(start, packet), 52, to.u32(8)),
      "packet 1 at byte 48: block says 8 bytes, at least 12 are possible",
    ],
    ["zeroes", join(start, new Uint8Array(64)), "at byte 48: block says 0 bytes, at least 12 are possible"],
    [
      "captured bytes past the block",
      patched(join(start, packet), 68, to.u32(70_000)),
      "packet 1 at byte 48: header says 70,000 captured bytes, the block has room for 24",
    ],
    [
      "more captured than sent",
      patched(join(start, packet), 72, to.u32(4)),
      "packet 1 at byte 48: header says 5 captured bytes of a packet of 4",
    ],
    [
      "unknown interface",
      join(start, to.enhanced(5, 1n, data)),
      "packet 1 at byte 48: packet is of interface 5, the section has 1 interfaces",
    ],
    [
      "simple packet without interface",
      join(to.section(), to.simple(data)),
      "packet 1 at byte 28: packet is of interface 0, the section has 0 interfaces",
    ],
    [
      "simple packet past the block",
      join(start, to.simple(data, 10)),
      "packet 1 at byte 48: header says 10 captured bytes, the block has room for 8",
    ],
    [
      "short packet block",
      join(start, to.block(6, new Uint8Array(16))),
      "packet 1 at byte 48: packet block has 28 bytes, wanted at least 32",
    ],
    [
      "short simple packet block",
      join(start, to.block(3, new Uint8Array())),
      "packet 1 at byte 48: packet block has 12 bytes, wanted at least 16",
    ],
    [
      "short interface block",
      join(to.section(), to.block(1, new Uint8Array(4))),
      "at byte 28: interface block has 16 bytes, wanted at least 20",
    ],
    [
      "option past its block",
      join(to.section(), to.block(1, join(new Uint8Array(8), to.u16(9), to.u16(99)))),
      "at byte 28: interface option 9 says 99 bytes, 0 left",
    ],
    [
      "clock past 64 bits",
      join(to.section(), to.interface(1, 0, [[9, hex("c1")]])),
      `at byte 28: interface says a clock of ${2 ** 65} units a second, wanted 64 bits`,
    ],
    ["version", patched(start, 12, to.u16(7)), "at byte 0: section has version 7.0, wanted 1.0"],
    [
      "byte order",
      patched(start, 8, hex("01020304")),
      "at byte 0: section header has byte order 0x1020304, wanted 0x1a2b3c4d",
    ],
    [
      "short section header",
      to.block(0x0a0d0d0a, join(to.u32(0x1a2b3c4d), new Uint8Array(4))),
      "at byte 0: section header has 20 bytes, wanted at least 28",
    ],
  ])("broken: %s", (__, file, reason) => {
    expect(says(file)).toBe(reason);
  });
});

describe("broken pcap", () => {
  const data = new Uint8Array(100);
  const file = writePcap([{ data }, { data }, { data }]);
  const u32 = (value: number): Uint8Array => new BlockWriter(true).u32(value);
  test.each([
    ["empty", new Uint8Array(), "at byte 0: the file is empty, wanted a pcap or pcapng header"],
    ["two bytes", hex("d4c3"), "at byte 0: the file ends, wanted a pcap or pcapng header"],
    ["foreign", hex("1f8b0800 00000000"), "at byte 0: the file begins with 0x1f8b0800, wanted a pcap or pcapng header"],
    ["cut file header", file.subarray(0, 23), "at byte 0: 23 bytes left in the file, wanted a file header of 24"],
    ["version", patched(file, 4, hex("0300")), "at byte 4: the file says pcap version 3.4, wanted 2.4"],
    [
      "cut record header",
      file.subarray(0, 145),
      "packet 2 at byte 140: 5 bytes left in the file, wanted a record header of 16",
    ],
    ["cut packet", file.subarray(0, 255), "packet 2 at byte 140: header says 100 captured bytes, 99 left in the file"],
    [
      "size past the file",
      patched(file, 140 + 8, join(u32(70_000), u32(70_000))),
      "packet 2 at byte 140: header says 70,000 captured bytes, 216 left in the file",
    ],
    [
      "impossible size",
      patched(file, 24 + 8, u32(0xffff_ffff)),
      "packet 1 at byte 24: header says 4,294,967,295 captured bytes, at most 262,144 are possible",
    ],
    [
      "more captured than sent",
      patched(file, 256 + 12, u32(60)),
      "packet 3 at byte 256: header says 100 captured bytes of a packet of 60",
    ],
    [
      "microseconds",
      patched(file, 140 + 4, u32(1_000_000)),
      "packet 2 at byte 140: header says 1,000,000 microseconds, wanted less than a second",
    ],
    [
      "nanoseconds",
      patched(writePcap([{ data }], { nanoseconds: true }), 28, u32(1e9)),
      "packet 1 at byte 24: header says 1,000,000,000 nanoseconds, wanted less than a second",
    ],
    ["zeroes", join(file, new Uint8Array(4096)), "packet 4 at byte 372: header says a packet of 0 bytes"],
  ])("%s", (_, broken, reason) => {
    expect(says(broken)).toBe(reason);
  });
});

describe.each(captureNames)("%s", (name) => {
  const bytes = readCapture(name);
  const whole = indexCapture(bytes);
  const rows = rowsOf(whole);
  // A pcapng block ends behind its packet's bytes: with padding and its size again.
  const tail = (captured: number): number => (name === "capture.pcapng" ? (-captured & 3) + 4 : 0);

  test("is whole", () => {
    expect(whole.broken).toBeUndefined();
    expect(whole.count).toBeGreaterThan(700);
    expect(whole.captured.some((captured, i) => captured < whole.lengths[i]!)).toBe(true);
  });

  test("cut at 500 random bytes, it gives the packets before the cut", () => {
    const random = randomIntegers(seed);
    for (let i = 0; i < 500; i++) {
      const end = random(bytes.length);
      const index = readAll(bytes.subarray(0, end));
      const before = rows.filter(({ offset, captured }) => offset + captured + tail(captured) <= end);
      expect(index.count, `cut at ${end}`).toBe(before.length);
      expect(samePackets(index, whole, before.length), `cut at ${end}`).toBe(true);
      if (index.broken !== undefined) {
        const { offset, captured } = before.at(-1) ?? { offset: 0, captured: 0 };
        expect(index.broken.offset).toBeGreaterThanOrEqual(offset + captured);
        expect(index.broken.offset).toBeLessThanOrEqual(end);
      }
    }
  });

  test("cut between packets, it is whole; one byte on or back, it is not", () => {
    const random = randomIntegers(seed + 1);
    for (let i = 0; i < 100; i++) {
      const count = 1 + random(rows.length - 2);
      const header = name === "capture.pcapng" ? 28 : 16;
      const end = rows[count]!.offset - header;
      expect(indexCapture(bytes.subarray(0, end)), `cut at ${end}`).toMatchObject({ count, broken: undefined });
      expect(indexCapture(bytes.subarray(0, end + 1)).broken?.offset).toBe(end);
      const short = indexCapture(bytes.subarray(0, end - 1));
      expect(short.count).toBe(count - 1);
      expect(short.broken?.packet).toBe(count);
    }
  });

  test("with bytes changed at 500 random places, it gives the packets before the first", () => {
    const random = randomIntegers(seed + 2);
    for (let i = 0; i < 500; i++) {
      const damaged = bytes.slice();
      const places = Array.from({ length: 1 + random(4) }, () => 24 + random(bytes.length - 24));
      for (const place of places) damaged[place] = damaged[place]! ^ (1 + random(255));
      const index = readAll(damaged);
      const first = Math.min(...places);
      const before = rows.filter(({ offset, captured }) => offset + captured + tail(captured) <= first);
      expect(index.count, `changed at ${first}`).toBeGreaterThanOrEqual(before.length);
      expect(samePackets(index, whole, before.length), `changed at ${first}`).toBe(true);
    }
  });
});

describe("garbage", () => {
  const magics = ["", "d4c3b2a1 0200 0400", "a1b2c3d4 0002 0004", "4d3cb2a1 0200 0400", "a1b23c4d 0002 0004"];
  const section = "0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000";
  const starts = [...magics, "0a0d0d0a", section, `${section} 01000000 14000000 0100 0000 00000000 14000000`].map(hex);

  test("never throws, and gives no packet that is not inside the file", () => {
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 2000 }), (start, rest) => {
        readAll(join(start, rest));
      }),
      { seed, numRuns: 3000 },
    );
  });

  test("nor do blocks of random types and bodies", () => {
    const to = new BlockWriter(true);
    const block = fc
      .tuple(fc.constantFrom(1, 2, 3, 6, 5, 0x0a0d0d0a), fc.uint8Array({ maxLength: 80 }))
      .map(([type, body]) => to.block(type, body));
    fc.assert(
      fc.property(fc.array(block, { maxLength: 20 }), (blocks) => {
        readAll(join(to.section(), to.interface(1), ...blocks));
      }),
      { seed, numRuns: 2000 },
    );
  });
});
