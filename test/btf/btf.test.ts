/**
 * BTF against what the kernel, bpftool and clang say of the same types.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Btf, BtfBuilder, BtfError, btfLoad, codecFromBtf } from "../../src/btf/index.js";
import { ElfError } from "../../src/elf/sections.js";
import { LinuxKernel } from "../../src/kernels/linux/index.js";
import { bpftool, tsbpf, whyNoBpftool, whyNoLinux } from "../cli/_run.js";

const VMLINUX = "/sys/kernel/btf/vmlinux";
const hasVmlinux = existsSync(VMLINUX);
const hasClang = spawnSync("clang", ["--version"]).status === 0;

/** Types of each kind that needs no other. */
function sample(): BtfBuilder {
  const builder = new BtfBuilder();
  const int = builder.int("int", 4, "SIGNED");
  const u32 = builder.int("unsigned int", 4);
  const char = builder.int("char", 1, "SIGNED");
  const name = builder.array(char, 16, u32);
  const color = builder.enum("color", { RED: -1, GREEN: 2 });
  const big = builder.enum64("big", { MOST: 0xffff_ffff_ffff_ffffn });
  builder.struct("elem", 40, [
    { name: "a", type: int, bitsOffset: 0 },
    { name: "low", type: u32, bitsOffset: 32, bitfieldSize: 3 },
    { name: "high", type: int, bitsOffset: 35, bitfieldSize: 13 },
    { name: "name", type: name, bitsOffset: 64 },
    { name: "color", type: color, bitsOffset: 192 },
    { name: "big", type: big, bitsOffset: 256 },
  ]);
  builder.typedef("word", u32);
  builder.ptr(int);
  builder.float("double", 8);
  return builder;
}

describe("builder", () => {
  test("what it makes is read back, and made again to the same bytes", () => {
    const bytes = sample().bytes();
    const again = new BtfBuilder();
    for (const [, type] of Btf.parse(bytes).types()) again.add(type);
    expect(again.bytes()).toEqual(bytes);
  });

  test.skipIf(whyNoLinux() !== undefined)("Linux takes it", () => {
    using kernel = LinuxKernel.open();
    const fd = btfLoad(kernel, sample().bytes());
    expect(fd).toBeGreaterThan(0);
    kernel.close(fd);
    expect(() => btfLoad(kernel, new Uint8Array(24))).toThrow("EINVAL");
  });

  test("a NUL in a name is refused", () => {
    expect(() => new BtfBuilder().int("a\0b", 4)).toThrow("NUL in a name of BTF");
  });
});

describe.skipIf(!hasVmlinux)("vmlinux", () => {
  test("types made again are the same", () => {
    const btf = Btf.fromKernel();
    const again = new BtfBuilder();
    for (const [, type] of btf.types()) again.add(type);
    const copy = Btf.parse(again.bytes());
    expect(copy.endId).toBe(btf.endId);
    for (const [id, type] of btf.types()) {
      const other = copy.type(id);
      if (JSON.stringify(other, big) !== JSON.stringify(type, big)) expect(other).toEqual(type);
    }
  });

  test("names are found by kind", () => {
    const btf = Btf.fromKernel();
    const id = btf.find("list_head", "STRUCT")!;
    expect(btf.sizeOf(id)).toBe(16);
    expect(btf.type(id)).toMatchObject({
      members: [
        { name: "next", bitsOffset: 0 },
        { name: "prev", bitsOffset: 64 },
      ],
    });
    expect(btf.find("list_head", "UNION")).toBeUndefined();
  });

  test("every struct of at most 512 bytes has a codec of its size, that writes what it read", () => {
    const btf = Btf.fromKernel();
    let count = 0;
    for (const [id, type] of btf.types()) {
      if (type.kind !== "STRUCT" || type.size === 0 || type.size > 512) continue;
      count++;
      const codec = codecFromBtf(btf, id);
      expect(codec.size).toBe(type.size);
      const bytes = new Uint8Array(type.size);
      const view = new DataView(bytes.buffer);
      const row = codec.read(view, 0);
      bytes.fill(0xff);
      codec.write(view, 0, row);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
    }
    expect(count).toBeGreaterThan(1000);
  }, 60_000);

  const reason = whyNoBpftool();
  test.skipIf(reason !== undefined).each([[[]], [["-j"]], [["-jp"]]])(
    "btf dump %j prints what bpftool prints",
    async (options) => {
      const args = [...options, "btf", "dump", "file", VMLINUX];
      const theirs = execFileSync("bpftool", args, { encoding: "utf8", maxBuffer: 1 << 28 });
      const ours = await tsbpf(["--bpftool", ...args]);
      expect(ours.status).toBe(0);
      // Not toBe: a diff of megabytes helps nobody.
      const lines = theirs.split("\n");
      expect(ours.stdout.split("\n").findIndex((line, i) => line !== lines[i])).toBe(-1);
      expect(ours.stdout === theirs).toBe(true);
    },
    60_000,
  );

  test.skipIf(reason !== undefined)("a file that is not there", async () => {
    const args = ["btf", "dump", "file", "/nowhere"];
    expect(await tsbpf(args)).toEqual(bpftool(args));
  });
});

const big = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);

/** Compiles C to what its BTF says. */
function compile(source: string): Btf {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-btf-"));
  try {
    writeFileSync(join(folder, "a.c"), source);
    execFileSync("clang", ["-g", "-O2", "-target", "bpf", "-c", "a.c", "-o", "a.o"], { cwd: folder });
    return Btf.fromObject(readFileSync(join(folder, "a.o")));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const STRUCTS = `
enum color { RED, GREEN = 7 };
typedef unsigned int u32;
struct inner { unsigned char proto; unsigned short port; };
struct __attribute__((packed)) packed { char c; long long l; };
struct all {
  _Bool flag; signed char s8; unsigned short u16; int s32; const u32 word; unsigned long long u64; long long s64;
  float f; double d; enum color color; char name[8]; unsigned char mac[6]; short pair[2];
  struct inner inner; struct inner many[2]; struct packed packed;
  struct { int x; int y; };
  union { int i; long long l; };
  union { int i; char c[6]; } named;
  unsigned int low : 3; int high : 13; unsigned long long wide : 40; _Bool bit : 1;
  void *ptr;
  int aligned __attribute__((aligned(32)));
  int flex[];
};
`;

const VALUE = {
  flag: true,
  s8: -5,
  u16: 65535,
  s32: -7,
  word: 0xdeadbeef,
  u64: 1n << 63n,
  s64: -9n,
  f: 0.5,
  d: -0.25,
  color: 7,
  name: "abc",
  mac: Uint8Array.of(1, 2, 3, 4, 5, 6),
  pair: [-1, 2],
  inner: { proto: 6, port: 80 },
  many: [
    { proto: 1, port: 2 },
    { proto: 3, port: 4 },
  ],
  packed: { c: "?", l: -1n },
  x: 11,
  y: -12,
  low: 5,
  high: -4000,
  wide: 0xab_cdef_0123n,
  bit: true,
  ptr: 0x1234n,
  aligned: 99,
};

describe.skipIf(!hasClang)("objects of clang", () => {
  test("a codec's bytes are those that C writes", () => {
    const btf = compile(`${STRUCTS} struct all all;`);
    const codec = codecFromBtf(btf, btf.find("all", "STRUCT")!);
    const folder = mkdtempSync(join(tmpdir(), "tsbpf-btf-"));
    writeFileSync(
      join(folder, "a.c"),
      `#include <stdio.h>
      #include <string.h>
      ${STRUCTS}
      union { struct all all; unsigned char bytes[sizeof(struct all)]; } u;
      int main(void) {
        struct all *a = &u.all;
        a->flag = 1; a->s8 = -5; a->u16 = 65535; a->s32 = -7; *(u32 *)&a->word = 0xdeadbeef; a->u64 = 1ull << 63;
        a->s64 = -9; a->f = 0.5; a->d = -0.25; a->color = GREEN; strcpy(a->name, "abc");
        for (int i = 0; i < 6; i++) a->mac[i] = i + 1;
        a->pair[0] = -1; a->pair[1] = 2; a->inner.proto = 6; a->inner.port = 80;
        a->many[0].proto = 1; a->many[0].port = 2; a->many[1].proto = 3; a->many[1].port = 4;
        a->packed.c = 63; a->packed.l = -1; a->x = 11; a->y = -12; a->l = 0x0807060504030201ll;
        memcpy(a->named.c, "\\1\\2\\3\\4\\5\\6", 6);
        a->low = 5; a->high = -4000; a->wide = 0xabcdef0123ull; a->bit = 1; a->ptr = (void *)0x1234; a->aligned = 99;
        for (unsigned i = 0; i < sizeof u.bytes; i++) printf("%02x", u.bytes[i]);
      }`,
    );
    execFileSync("clang", ["a.c", "-o", "a"], { cwd: folder });
    const theirs = execFileSync(join(folder, "a"), { encoding: "utf8" });
    rmSync(folder, { recursive: true });
    const read = codec.read(new DataView(new Uint8Array(Buffer.from(theirs, "hex")).buffer), 0) as Record<
      string,
      unknown
    >;
    const anonymous = Object.keys(read).find((name) => name.startsWith("anon_"))!;
    const value = {
      ...VALUE,
      packed: { c: 63, l: -1n },
      [anonymous]: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      named: Uint8Array.of(1, 2, 3, 4, 5, 6, 0, 0),
    };
    expect(read).toEqual(value);
    const bytes = new Uint8Array(codec.size);
    codec.write(new DataView(bytes.buffer), 0, value);
    expect(Buffer.from(bytes).toString("hex")).toBe(theirs);
    expect(() => codec.write(new DataView(bytes.buffer), 0, { ...value, low: 8 })).toThrow(
      "value.low: wanted an unsigned bit-field of 3 bits (number), found 8",
    );
  });
});

describe("damage", () => {
  test("is named", () => {
    const bytes = sample().bytes();
    expect(() => Btf.parse(bytes.subarray(0, 10))).toThrow("wanted a header of 24 bytes, found 10 bytes");
    expect(() => Btf.parse(Uint8Array.from(bytes, (byte, i) => (i === 31 ? 31 : byte)))).toThrow(
      "BTF type 1: wanted a kind from 1 to 19, found 31",
    );
    expect(() => Btf.fromObject(bytes)).toThrow(ElfError);
    expect(() => Btf.parse(bytes).type(99)).toThrow("BTF type 99: wanted an id from 0 to 10");
  });

  test("neither hangs nor crashes", () => {
    const bytes = sample().bytes();
    const flips = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(flips, (flips) => {
        const damaged = bytes.slice();
        for (const [at, byte] of flips) damaged[at] = byte;
        let btf: Btf;
        try {
          btf = Btf.parse(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(BtfError);
          return;
        }
        for (let id = 0; id < btf.endId; id++) {
          try {
            btf.type(id);
            codecFromBtf(btf, id);
          } catch (error) {
            expect(error).toBeInstanceOf(BtfError);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("a struct within itself is refused", () => {
    const builder = new BtfBuilder();
    builder.struct("loop", 8, [{ name: "loop", type: 1, bitsOffset: 0 }]);
    builder.typedef("word", 2);
    const btf = Btf.parse(builder.bytes());
    expect(() => codecFromBtf(btf, 1)).toThrow("within itself");
    expect(() => btf.resolve(2)).toThrow("or a loop");
  });
});
