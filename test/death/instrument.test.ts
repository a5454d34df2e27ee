/**
 * The instrumented engine is the engine: every instruction of it in its order, and a step before each that writes.
 */
import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { kernelWasm } from "../../src/kernels/embedded/kernel_wasm.js";
import { instrument } from "./instrument.js";
import { CODE, Reader, nextInstruction, sectionsOf, signedLeb } from "./wasm.js";

const bytes = Uint8Array.from(Buffer.from(kernelWasm, "base64"));
const text = new URL("../../build/kernel.wat", import.meta.url);

/** The bytes of each instruction of each function, as hex. */
function instructionsOf(module: Uint8Array): string[][] {
  const code = sectionsOf(module).find(({ id }) => id === CODE)!;
  const reader = new Reader(module, code.start);
  return Array.from({ length: reader.u32() }, () => {
    const end = reader.u32() + reader.at;
    for (let groups = reader.u32(); groups > 0; groups--) {
      reader.skipNumber();
      reader.skipNumber();
    }
    const instructions: string[] = [];
    while (reader.at < end) {
      const { at } = nextInstruction(reader);
      instructions.push(Buffer.from(module.subarray(at, reader.at)).toString("hex"));
    }
    return instructions;
  });
}

it("is the module as it was built, with steps between its instructions", () => {
  const { bytes: instrumented, steps } = instrument(bytes);
  expect(WebAssembly.validate(instrumented)).toBe(true);
  const constant = (value: number): string => Buffer.from([0x41, ...signedLeb(value)]).toString("hex");
  let found = 0;
  const without = instructionsOf(instrumented).map((instructions) => {
    const kept: string[] = [];
    for (let i = 0; i < instructions.length; i++) {
      if (found < steps.length && instructions[i] === constant(found) && instructions[i + 1] === constant(-1)) {
        // Up to the call.
        while (!instructions[i]!.startsWith("10")) i++;
        found++;
      } else {
        kept.push(instructions[i]!);
      }
    }
    return kept;
  });
  expect(found).toBe(steps.length);
  expect(without).toEqual(instructionsOf(bytes));
});

it.runIf(existsSync(text))("has a step for each writing instruction that the compiler's text has", () => {
  const { steps } = instrument(bytes);
  const writing = /^ +(?:[ifv]\d+\.(?:atomic\.)?(?:store|rmw)|memory\.(?:copy|fill|init))/gm;
  const written = readFileSync(text, "utf8").match(writing)!;
  expect(steps.filter(({ waits }) => !waits).length).toBe(written.length);
  expect(steps.some(({ waits }) => waits)).toBe(true);
  expect(steps.every(({ name }) => name.startsWith("kernel/"))).toBe(true);
});

it("complains of what it does not know", () => {
  expect(() => nextInstruction(new Reader(Uint8Array.of(0x41, 0, 0x06), 2))).toThrow(
    "Unknown instruction 0x6 at offset 2",
  );
  expect(() => nextInstruction(new Reader(Uint8Array.of(0xfe, 0x4f, 0, 0)))).toThrow("Unknown instruction 0xfe004f");
});
