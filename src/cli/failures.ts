/**
 * How a command fails. What is thrown that is none of these, nor a BpfError, a BtfError or an error of the operating system, is a
 * bug, and shows its stack.
 */
import { BtfError } from "../btf/btf.js";
import { ElfError } from "../elf/sections.js";
import { InsnError } from "../insn/insn.js";
import { BpfError } from "../kernels/error.js";
import { ObjectError } from "../program/object_error.js";
import { EIO } from "../uapi/errno.js";

/** Ends a command that failed and has said why. Its status is -1 or a negative errno. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly status: number;

  constructor(status: number) {
    super(`command failed with status ${status}`);
    this.status = status;
  }
}

/** Something is wrong with the words of a command; the message says what. */
export class ArgsError extends Error {
  override readonly name = "ArgsError";
}

/** The image file cannot be used; the message names it and says what to do. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** Says whether a message is all that a user needs to know of an error. */
export function isForUser(error: unknown): error is Error {
  if (error instanceof ArgsError || error instanceof ImageError) return true;
  if (error instanceof BpfError || error instanceof BtfError || error instanceof ElfError) return true;
  if (error instanceof ObjectError || error instanceof InsnError) return true;
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
}

/** The errno of an error of the operating system; EIO of others. */
export function errnoOf(error: unknown): number {
  const { errno } = error as NodeJS.ErrnoException;
  return errno === undefined ? EIO : Math.abs(errno);
}
