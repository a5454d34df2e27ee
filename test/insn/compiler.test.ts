/**
 * The compiler against the plainest interpreter there could be.
 */
import { describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { runCompiled, runReference } from "./_machine.js";

/** Runs a text both ways, and says what came of it. */
function both(text: string, withPacket = false): { r0: bigint; fault: number; faultInsn: number } {
  const insns = assemble(text);
  const expected = runReference(insns, withPacket);
  const { values: expectedValues, ...expectedRest } = expected;
  const { values, ...rest } = runCompiled(insns, withPacket);
  expect({ ...rest, sameValues: values === expectedValues }).toEqual({ ...expectedRest, sameValues: true });
  return expectedRest;
}

describe("the compiler", () => {
  it("runs what has no jumps", () => {
    expect(both("r0 = 7\nr0 *= 6\nexit").r0).toBe(42n);
    expect(both("w0 = -1\nexit").r0).toBe(0xffff_ffffn);
    expect(both("r0 = 0x1122334455667788 ll\nr0 = be64 r0\nexit").r0).toBe(0x8877665544332211n);
  });

  it("runs loops, one in the other", () => {
    const { r0 } = both(`
      r0 = 0
      r6 = 0
      outer:
      r7 = 0
      inner:
      r0 += r7
      r7 += 1
      if r7 < 10 goto inner
      r6 += 1
      if r6 < 20 goto outer
      exit`);
    expect(r0).toBe(900n);
  });

  it("runs a loop with two entries", () => {
    const { r0 } = both(`
      r0 = 0
      r6 = *(u8 *)(r1 + 0)
      if r6 > 0 goto second
      first:
      r0 += 1
      second:
      r0 += 10
      if r0 < 100 goto first
      exit`);
    expect(r0).toBe(109n);
  });

  it("has a frame that reads as zeroes, and keeps what is put there", () => {
    expect(both("r0 = *(u64 *)(r10 - 8)\nexit").r0).toBe(0n);
    const { r0 } = both(`
      r1 = 300
      *(u64 *)(r10 - 16) = r1
      *(u8 *)(r10 - 16) = 1
      r0 = *(u64 *)(r10 - 16)
      r2 = r10
      r2 += -16
      r3 = *(u16 *)(r2 + 0)
      r0 += r3
      exit`);
    expect(r0).toBe(2n * 257n);
  });

  it("calls functions, up to eight deep", () => {
    const { r0 } = both(`
      r1 = 5
      r2 = r10
      r2 += -8
      r6 = 3
      call pc_add
      r0 += r6
      r1 = *(u64 *)(r10 - 8)
      r0 += r1
      exit
      _add:
      *(u64 *)(r2 + 0) = r1
      r6 = 1000
      r0 = r1
      r0 += 1
      exit`);
    expect(r0).toBe(14n);
    const deep = "call pc_again\nexit\n_again:\ncall pc_again\nexit";
    expect(both(deep).fault).toBe(4);
  });

  it("knows what functions are called with", () => {
    const { r0 } = both(
      `
      r6 = *(u32 *)(r1 + 0)
      r2 = map[fd:0][0]+8
      call pc_first
      r1 = r6
      r2 = map[fd:0][0]+16
      call pc_second
      exit
      _first:
      r6 = *(u32 *)(r1 + 4)
      *(u64 *)(r2 + 0) = r6
      r1 = *(u32 *)(r1 + 0)
      call pc_second
      exit
      _second:
      r0 = *(u8 *)(r1 + 3)
      *(u8 *)(r2 + 1000) = r0
      exit`,
      true,
    );
    expect(r0).toBe(252n);
    expect(
      both("r1 = 3\ncall pc_again\nexit\n_again:\nr1 -= 1\nif r1 == 0 goto out\ncall pc_again\nout:\nr0 = 5\nexit").r0,
    ).toBe(5n);
  });

  it("calls by pointer", () => {
    expect(both("r6 = subprog[+4]\nr1 = 4\ncallx r6\nexit\nr0 = r1\nr0 += 3\nexit").r0).toBe(7n);
    expect(both("r6 = 77\ncallx r6\nexit").fault).toBe(6);
  });

  it("ends an endless loop", () => {
    expect(both("again: r0 = 1\ngoto again\nexit")).toMatchObject({ fault: 3, faultInsn: 1 });
  });

  it("looks up in an array", () => {
    const text = (index: number): string => `
      *(u32 *)(r10 - 4) = ${index}
      r2 = r10
      r2 += -4
      r1 = map[fd:0]
      call 1
      if r0 == 0 goto out
      r1 = 9
      *(u64 *)(r0 + 16) = r1
      lock *(u64 *)(r0 + 16) += r1
      r0 = *(u64 *)(r0 + 16)
      out:
      exit`;
    expect(both(text(3)).r0).toBe(18n);
    expect(both(text(4)).r0).toBe(0n);
  });

  it("reads packets, as far as they go", () => {
    const text = (off: number): string => `
      r2 = *(u32 *)(r1 + 0)
      r0 = *(u32 *)(r2 ${off < 0 ? "-" : "+"} ${Math.abs(off)})
      *(u8 *)(r2 + 1) = r0
      exit`;
    expect(both(text(96), true).fault).toBe(0);
    expect(both(text(97), true)).toMatchObject({ fault: 1, faultInsn: 1 });
    expect(both(text(-1), true)).toMatchObject({ fault: 1, faultInsn: 1 });
  });
});
