/**
 * "tsbpf/program": object files, and programs. Reads bytes; where they come from is the caller's.
 */
export { assemble, disassemble } from "../insn/asm.js";
export { Link } from "./attach.js";
export type { AttachTarget } from "./attach.js";
export { BpfObject } from "./bpf_object.js";
export type { LoadOptions, ObjectOptions } from "./bpf_object.js";
export { type Insn, InsnError, decodeInsns, encodeInsns, imm64Of } from "../insn/insn.js";
export type { MapDefinition } from "./map_definitions.js";
export type { ProgramDefinition } from "./object.js";
export { ObjectError } from "./object_error.js";
export type { Variable } from "./variables.js";
export { type Opcode, opcodes } from "../insn/opcodes.js";
export { Program } from "./program.js";
export type { ProgramAttr, RunOptions, RunResult } from "./program.js";
export { ProgramFaultError } from "./program_fault.js";
export { VerifierError } from "./verifier_error.js";
export type { VerifierReason } from "./verifier_error.js";
