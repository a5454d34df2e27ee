/**
 * Reads a capture file into shared memory, for all threads to read.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import { breakText, type CaptureIndex, indexCapture } from "tsbpf/pcap";
import { Exit, Failure } from "./exit.js";

/** What one system call reads at most. */
const PIECE_BYTES = 2 ** 26;

/** A file's bytes in shared memory, and where its packets are. */
export interface Capture {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly index: CaptureIndex;
}

/**
 * Reads and indexes a file. One that is truncated or damaged gives the packets before the break.
 *
 * @throws {Failure} when it cannot be read, or is no capture
 */
export function readCapture(path: string): Capture {
  const bytes = readShared(path);
  const index = indexCapture(bytes);
  const { broken } = index;
  if (index.count === 0 && broken !== undefined && broken.packet === undefined) {
    throw new Failure(Exit.notACapture, `Cannot count the packets of ${path}: ${breakText(broken)}`);
  }
  return { bytes, index };
}

function readShared(path: string): Uint8Array<SharedArrayBuffer> {
  try {
    const fd = openSync(path, "r");
    try {
      const status = fstatSync(fd);
      return status.isFile() ? readWhole(fd, status.size) : copy(readFileSync(fd));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new Failure(Exit.unreadable, `Cannot read ${path}: ${reasonOf(error)}`);
  }
}

function readWhole(fd: number, size: number): Uint8Array<SharedArrayBuffer> {
  const bytes = new Uint8Array(new SharedArrayBuffer(size));
  let at = 0;
  while (at < size) {
    const read = readSync(fd, bytes, at, Math.min(PIECE_BYTES, size - at), null);
    if (read === 0) break;
    at += read;
  }
  // Shorter where the file was cut meanwhile.
  return bytes.subarray(0, at);
}

/** A pipe's bytes. */
function copy(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return shared;
}

function reasonOf(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? message;
}
