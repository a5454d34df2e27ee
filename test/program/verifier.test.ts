/**
 * Programs that Linux refuses, for real: what is made of the verifier's log.
 */
import { HashMap, RingBuffer, u32, u64 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { BpfObject, Program, VerifierError, assemble } from "tsbpf/program";
import { BPF_PROG_TYPE_CGROUP_SKB, BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_XDP } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { whyNoLinux } from "../kernels.js";
import { compiled, whyNoClang } from "./_clang.js";

const STACK_KEY = "*(u32 *)(r10 - 4) = 0; r2 = r10; r2 += -4; r1 = map[fd:MAP]; call 1";

/** The program, instructions apart by ";", and what the advice must say. */
const refused: readonly { title: string; text: string; wanted: RegExp; type?: number; license?: string }[] = [
  { title: "no return value", text: "exit", wanted: /without a value to return/ },
  { title: "a register that was never set", text: "r0 = r3; exit", wanted: /has no value here: it was never set/ },
  { title: "a register that a call has taken", text: "call 5; r0 = r1; exit", wanted: /calls keep r6 to r9 only/ },
  { title: "a value that may not be there", text: `${STACK_KEY}; r0 = *(u64 *)(r0 + 0); exit`, wanted: /may be NULL/ },
  {
    title: "beyond a value",
    text: `${STACK_KEY}; if r0 == 0 goto +1; r0 = *(u64 *)(r0 + 4); exit`,
    wanted: /too large|beyond/,
  },
  {
    title: "an index that may be anything",
    text: `r6 = *(u32 *)(r1 + 0); ${STACK_KEY}; if r0 == 0 goto +2; r0 += r6; r0 = *(u8 *)(r0 + 0); exit`,
    wanted: /too large: compare it/,
  },
  {
    title: "a number as a pointer",
    text: "r1 = 64; r0 = *(u64 *)(r1 + 0); exit",
    wanted: /a number is used as a pointer/,
  },
  {
    title: "the packet's end is not looked at",
    text: "r1 = *(u32 *)(r1 + 0); r0 = *(u8 *)(r1 + 0); exit",
    wanted: /data_end/,
    type: BPF_PROG_TYPE_XDP,
  },
  { title: "below the stack", text: "*(u64 *)(r10 - 520) = 0; r0 = 0; exit", wanted: /512 bytes/ },
  { title: "an endless loop", text: "r0 = 0; goto -1; exit", wanted: /must end|no way leads to/ },
  { title: "no such helper", text: "call 9999; exit", wanted: /no such helper/ },
  { title: "a helper of others", text: "r0 = 0; call 23; exit", wanted: /no such helper|kind that the helper/ },
  { title: "no license for it", text: "r1 = 0; call 6; r0 = 0; exit", wanted: /license|kind/, license: "Proprietary" },
  {
    title: "a field that the context has not",
    text: "r0 = *(u64 *)(r1 + 4000); exit",
    wanted: /context of programs of this type has no such field/,
  },
  { title: "arithmetic on the context", text: "r1 += r1; r0 = 0; exit", wanted: /compute with a pointer/ },
  { title: "instructions that nobody comes to", text: "r0 = 0; exit; r0 = 1; exit", wanted: /no way leads to/ },
  { title: "a wrong argument", text: "r1 = 0; r2 = 0; call 1; r0 = 0; exit", wanted: /not of the kind/ },
  { title: "the stack's top is changed", text: "r10 = 0; r0 = 0; exit", wanted: /r10 is the stack's top/ },
  { title: "a jump to nowhere", text: "r0 = 0; goto +5; exit", wanted: /damaged/ },
  {
    title: "a lookup with a key beyond the stack",
    text: "r2 = r10; r2 += 8; r1 = map[fd:MAP]; call 1; r0 = 0; exit",
    wanted: /512 bytes/,
  },
  {
    title: "a record that is kept",
    text: "r1 = map[fd:RING]; r2 = 8; r3 = 0; call 131; r0 = 0; exit",
    wanted: /given back on every way/,
  },
  {
    title: "a return value out of range",
    text: "r0 = 7; exit",
    wanted: /return one of certain values/,
    type: BPF_PROG_TYPE_CGROUP_SKB,
  },
  {
    title: "a write to the packet of a socket",
    text: "*(u32 *)(r1 + 0) = 1; r0 = 0; exit",
    wanted: /may not be written|read only/,
  },
];

describe.skipIf(whyNoLinux !== undefined)("refusals of Linux", () => {
  it.each(refused)("$title", ({ text, wanted, type = BPF_PROG_TYPE_SOCKET_FILTER, license = "GPL" }) => {
    using kernel = LinuxKernel.open();
    using map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 1 });
    using ring = RingBuffer.create(kernel, { size: 4096 });
    const insns = assemble(
      text.replaceAll("MAP", String(map.fd)).replaceAll("RING", String(ring.fd)).replaceAll("; ", "\n"),
    );
    let error: unknown;
    try {
      Program.load(kernel, { name: "refused", type, license, insns }).close();
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(VerifierError);
    const { advice, reason, message, log } = error as VerifierError;
    expect(advice ?? `not known: ${reason}`).toMatch(wanted);
    expect(message).toContain(reason);
    expect(log).toContain(reason.split("; ")[0]!);
  });
});

const why = whyNoLinux ?? whyNoClang;
describe.skipIf(why !== undefined)(`with source lines${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  it("tells the line, the instruction, the registers, and what to do", () => {
    using kernel = LinuxKernel.open();
    let error: unknown;
    try {
      BpfObject.open(compiled("refused")).load(kernel);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({
      code: "EACCES",
      reason: "R0 invalid mem access 'map_value_or_null'",
      insn: expect.stringMatching(/^\d+: \(79\) r0 = \*\(u64 \*\)\(r0 \+0\)$/) as string,
      source: expect.stringMatching(/^return \*total; @ refused\.c:\d+$/) as string,
      advice: "the pointer may be NULL: compare it with NULL before it is used",
    });
    expect((error as VerifierError).message).toMatch(/in return \*total; @ refused\.c:\d+; the pointer may be NULL/);
  });
});
