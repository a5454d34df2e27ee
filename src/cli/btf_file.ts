/**
 * BTF from files: as it is, as in /sys/kernel/btf, or in the section .BTF of an ELF object.
 */
import { readFileSync } from "node:fs";
import { Btf, BtfError } from "../btf/btf.js";
import { ElfError, isElf } from "../elf/sections.js";
import { EINVAL, EIO, EISDIR, ENOENT } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";

/** LIBBPF_ERRNO__FORMAT: what libbpf says of a file that is neither BTF nor ELF. */
const LIBBPF_FORMAT = 4001;

/** A file gave no BTF. */
export class BtfFileError extends Error {
  override readonly name = "BtfFileError";
  /** What bpftool answers, negative. */
  readonly errno: number;

  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }

  /** What is wrong; in bpftool's words, unless strict. */
  describe(strict: boolean): string {
    return strict ? this.message : errnoMessage(-this.errno);
  }
}

/**
 * Reads a file's BTF.
 *
 * @param base What it builds on, when it is split.
 * @throws {BtfFileError}
 */
export function readBtf(path: string, base?: Btf): Btf {
  let bytes: Uint8Array | undefined;
  try {
    bytes = readFileSync(path);
    return isElf(bytes) ? Btf.fromObject(bytes, base) : Btf.parse(bytes, base);
  } catch (error) {
    if (error instanceof ElfError) throw new BtfFileError(error.message, -LIBBPF_FORMAT);
    if (error instanceof BtfError) throw new BtfFileError(error.message, -errnoOfBytes(bytes ?? new Uint8Array()));
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    throw new BtfFileError(errnoMessage(-errno), errno === -EISDIR ? -EIO : errno);
  }
}

/** What bpftool calls it when there is no BTF in a file. */
function errnoOfBytes(bytes: Uint8Array): number {
  if (isElf(bytes)) return ENOENT;
  if (bytes.length < 2) return EIO;
  const magic = bytes[0]! | (bytes[1]! << 8);
  return magic === 0xeb9f || magic === 0x9feb ? EINVAL : LIBBPF_FORMAT;
}
