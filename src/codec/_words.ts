/**
 * 64-bit words in a view. Node 20 does not inline DataView's 64-bit accesses: 20 ns each, and 5 so (measured).
 */

/** A view that also has its bytes as aligned words, at their index. Codecs take it for any other DataView. */
export class WordView extends DataView<ArrayBufferLike> {
  readonly words: BigUint64Array;

  /** @param offset In bytes, a multiple of 8. */
  constructor(buffer: ArrayBufferLike, offset: number, length: number) {
    super(buffer, offset, length);
    this.words = new BigUint64Array(buffer, offset, length >> 3);
  }
}

/** A view of all these bytes, with words if they lie aligned. */
export function wordView({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return byteOffset % 8 === 0
    ? new WordView(buffer, byteOffset, byteLength)
    : new DataView(buffer, byteOffset, byteLength);
}

// Two halves of a word, for views without words and for what lies off its alignment.
const word = new BigUint64Array(1);
const halves = new Uint32Array(word.buffer);

/** Reads a u64, little endian. */
export function readU64(view: DataView, at: number): bigint {
  const { words } = view as Partial<WordView>;
  if (words !== undefined && (at & 7) === 0) return words[at >>> 3]!;
  halves[0] = view.getUint32(at, true);
  halves[1] = view.getUint32(at + 4, true);
  return word[0]!;
}

/** Writes a u64, little endian: of other bigints their lower 64 bits. */
export function writeU64(view: DataView, at: number, value: bigint): void {
  const { words } = view as Partial<WordView>;
  if (words !== undefined && (at & 7) === 0) {
    words[at >>> 3] = value;
    return;
  }
  word[0] = value;
  view.setUint32(at, halves[0]!, true);
  view.setUint32(at + 4, halves[1]!, true);
}
