/**
 * Images: a kernel as bytes. The kernel is one memory, so it is the pages of it that are in use, and not zero.
 *
 *       0  "tsbpfimg"
 *       8  u32  version of this format and of the memory's layout
 *      12  u32  pages of the memory, of 4096 bytes
 *      16  u32  possible CPUs
 *      20  u32  runs that follow
 *      24  u32  u32  checksum of all that follows
 *      32  u32  page, u32 count, then count * 4096 bytes; and so on, by rising page
 *
 * All little endian.
 */

const PAGE_BYTES = 4096;
const HEADER_BYTES = 32;
const MAGIC = "tsbpfimg";
/** kernel/super.ts LAYOUT_VERSION in the low half. */
const VERSION = 0x0001_0007;

/** An image that cannot be loaded: it is damaged, or not an image of this version. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** What an image's header says. */
export interface ImageHeader {
  readonly pages: number;
  readonly possibleCpus: number;
}

/** A part of the memory: address and length in bytes, whole pages. */
export interface Extent {
  readonly address: number;
  readonly length: number;
}

/** Writes an image of these parts of the memory, which must not change meanwhile. */
export function encodeImage(memory: Uint8Array, header: ImageHeader, extents: readonly Extent[]): Uint8Array {
  const runs = extents.flatMap((extent) => nonZeroRuns(memory, extent));
  const bytes = runs.reduce((sum, run) => sum + 8 + run.length, HEADER_BYTES);
  const image = new Uint8Array(bytes);
  const view = new DataView(image.buffer);
  for (let i = 0; i < MAGIC.length; i++) image[i] = MAGIC.charCodeAt(i);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, header.pages, true);
  view.setUint32(16, header.possibleCpus, true);
  view.setUint32(20, runs.length, true);
  let at = HEADER_BYTES;
  for (const run of runs) {
    view.setUint32(at, run.address / PAGE_BYTES, true);
    view.setUint32(at + 4, run.length / PAGE_BYTES, true);
    image.set(memory.subarray(run.address, run.address + run.length), at + 8);
    at += 8 + run.length;
  }
  const [low, high] = checksum(image);
  view.setUint32(24, low, true);
  view.setUint32(28, high, true);
  return image;
}

/**
 * Reads an image's header, and looks whether all of it is whole.
 *
 * @throws {ImageError}
 */
export function checkImage(image: Uint8Array): ImageHeader {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < HEADER_BYTES || !startsWithMagic(image)) {
    throw new ImageError(
      `Not an image of a tsbpf kernel: wanted "${MAGIC}" at its start and at least ${HEADER_BYTES} bytes, found ${image.length} bytes`,
    );
  }
  const version = view.getUint32(8, true);
  if (version !== VERSION) {
    throw new ImageError(
      `The image has version 0x${version.toString(16)}, and this tsbpf loads version 0x${VERSION.toString(16)}`,
    );
  }
  const [low, high] = checksum(image);
  if (view.getUint32(24, true) !== low || view.getUint32(28, true) !== high) {
    throw new ImageError(
      `The image is damaged: its ${image.length} bytes do not have the checksum that its header says`,
    );
  }
  const header = { pages: view.getUint32(12, true), possibleCpus: view.getUint32(16, true) };
  let end = HEADER_BYTES;
  for (const run of imageRuns(image)) {
    if (run.page + run.count > header.pages)
      throw new ImageError("The image is damaged: a run of pages ends behind its memory");
    end = run.end;
  }
  if (end !== image.length)
    throw new ImageError(`The image is damaged: its runs end at ${end} of ${image.length} bytes`);
  return header;
}

/** Copies a checked image into a fresh memory. */
export function decodeImage(image: Uint8Array, memory: Uint8Array): void {
  for (const run of imageRuns(image)) memory.set(image.subarray(run.start, run.end), run.page * PAGE_BYTES);
}

function* imageRuns(image: Uint8Array): Generator<{ page: number; count: number; start: number; end: number }> {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  let at = HEADER_BYTES;
  for (let left = view.getUint32(20, true); left > 0; left--) {
    if (at + 8 > image.length) throw new ImageError("The image is damaged: it ends inside a run of pages");
    const page = view.getUint32(at, true);
    const count = view.getUint32(at + 4, true);
    const start = at + 8;
    at = start + count * PAGE_BYTES;
    if (at > image.length) throw new ImageError("The image is damaged: it ends inside a run of pages");
    yield { page, count, start, end: at };
  }
}

function startsWithMagic(image: Uint8Array): boolean {
  for (let i = 0; i < MAGIC.length; i++) if (image[i] !== MAGIC.charCodeAt(i)) return false;
  return true;
}

/** The runs of pages of an extent that are not all zero. */
function nonZeroRuns(memory: Uint8Array, extent: Extent): Extent[] {
  const words = new Uint32Array(memory.buffer, memory.byteOffset, Math.floor(memory.byteLength / 4));
  const runs: { address: number; length: number }[] = [];
  const end = extent.address + extent.length;
  for (let address = extent.address; address < end; address += PAGE_BYTES) {
    if (isZeroPage(words, address / 4)) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.address + last.length === address) last.length += PAGE_BYTES;
    else runs.push({ address, length: PAGE_BYTES });
  }
  return runs;
}

function isZeroPage(words: Uint32Array, from: number): boolean {
  for (let i = from; i < from + PAGE_BYTES / 4; i++) if (words[i] !== 0) return false;
  return true;
}

/**
 * Two sums over all words but their own place. Each step maps different states, and different words, to different
 * states: so no change of a single word goes unseen.
 */
function checksum(image: Uint8Array): [number, number] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  let a = 0x9e3779b9 ^ image.length;
  let b = 0x85ebca6b;
  const words = Math.floor(image.length / 4);
  for (let i = 0; i < words; i++) {
    if (i === 6 || i === 7) continue;
    const word = view.getInt32(i * 4, true);
    a = Math.imul(a ^ word, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul((b + word) | 0, 0x1b873593);
    b ^= b >>> 13;
  }
  for (let i = words * 4; i < image.length; i++) a = Math.imul(a ^ image[i]!, 0x01000193);
  return [a >>> 0, b >>> 0];
}
