/**
 * The mapped way into an array: its values are this process's memory, by mmap(2), and no operation is a system call.
 *
 *      mapping     an elem every 8, 16, 24, ... bytes: value_size rounded up to 8
 *
 * Values of up to 8 bytes are one atomic load or store. Larger ones are copied word by word: a reader may find half of what
 * another writes, as it may on Linux by system call. Adding is one atomic step a lane, among all who have the map mapped and
 * programs that add atomically: Atomics on memory that JavaScript does not know as shared is the same locked instruction.
 */
import { BPF_EXIST, BPF_NOEXIST } from "../uapi/bpf.js";
import { E2BIG, EEXIST, EINVAL, ENOENT } from "../uapi/errno.js";
import type { Lane } from "../codec/codec.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel, UserBuffer } from "../kernels/kernel.js";
import { type Access, type Chunk, type ElemShape, align8, refusalOf } from "./_access.js";

/** How the value of an elem travels: as one word, as one of 8 bytes, or as many. */
const ONE_WORD = 0;
const TWO_WORDS = 1;
const MANY_WORDS = 2;

/** The same memory as words of both sizes. */
interface Words {
  readonly words: Int32Array;
  readonly longs: BigInt64Array;
}

/** What is done with a key of many, and the i-th value. */
type One = (index: number, values: Words, i: number) => number;

function wordsOf({ buffer, byteOffset }: Uint8Array, off: number, bytes: number): Words {
  const at = byteOffset + off;
  return { words: new Int32Array(buffer, at, bytes / 4), longs: new BigInt64Array(buffer, at, bytes / 8) };
}

/**
 * Maps an array, to read and to write.
 *
 * @throws {BpfError} what mmap(2) answers
 */
export function openMapped(kernel: Kernel, fd: number, { valueSize, maxEntries, lanes = [] }: ElemShape): Access {
  const stride = align8(valueSize);
  const mapping = mapAll(kernel, fd, stride * maxEntries);
  const { words, longs } = wordsOf(mapping.bytes, 0, stride * maxEntries);
  const kind = valueSize <= 4 ? ONE_WORD : valueSize <= 8 ? TWO_WORDS : MANY_WORDS;
  const step = stride / 4;

  const key = new Uint8Array(4);
  const keyWord = new Uint32Array(key.buffer);
  const own = wordsOf(new Uint8Array(stride), 0, stride);

  /** Copies an elem to the i-th place of memory of JavaScript's own, or from there. */
  const load = (index: number, to: Words, i: number): void => {
    if (kind === TWO_WORDS) to.longs[i] = Atomics.load(longs, index);
    else if (kind === ONE_WORD) to.words[i * step] = Atomics.load(words, index * step);
    else for (let word = 0; word < step; word++) to.words[i * step + word] = words[index * step + word]!;
  };
  const put = (index: number, from: Words, i: number): void => {
    if (kind === TWO_WORDS) Atomics.store(longs, index, from.longs[i]!);
    else if (kind === ONE_WORD) Atomics.store(words, index * step, from.words[i * step]!);
    else for (let word = 0; word < step; word++) words[index * step + word] = from.words[i * step + word]!;
  };

  const lookup4 = (index: number): number => {
    if (index >= maxEntries) return -ENOENT;
    load(index, own, 0);
    return 0;
  };
  const refusal = (index: number, flags: number): number => {
    if (flags > BPF_EXIST) return -EINVAL;
    if (index >= maxEntries) return -E2BIG;
    return flags === BPF_NOEXIST ? -EEXIST : 0;
  };
  const update4 = (index: number, flags: number): number => {
    const ret = refusal(index, flags);
    if (ret !== 0) return ret;
    put(index, own, 0);
    return 0;
  };
  const adders = lanes.map((lane) => adder(lane, words, own.words, stride));
  const add4 = (index: number): number => {
    if (index >= maxEntries) return -E2BIG;
    for (const add of adders) add(index);
    return 0;
  };

  /** Of a chunk, where keys and values lie at multiples of 8 bytes. */
  const forMany = (chunk: Chunk, n: number, benign: number, one: One): number => {
    const { buffer, byteOffset } = chunk.buffer.bytes;
    const keys = new Uint32Array(buffer, byteOffset + chunk.keysOff, 2 * n);
    const values = wordsOf(chunk.buffer.bytes, chunk.valuesOff, stride * n);
    for (let i = 0; i < n; i++) {
      const ret = one(keys[2 * i]!, values, i);
      chunk.rets[i] = ret;
      if (ret !== 0 && ret !== benign) return i;
    }
    return n;
  };

  return {
    key,
    value: new Uint8Array(own.words.buffer, 0, valueSize),
    isShort: false,
    lookup: () => lookup4(keyWord[0]!),
    // Arrays whose values have a lock are not mapped.
    lookupLocked: () => -EINVAL,
    update: (flags) => update4(keyWord[0]!, flags),
    remove: () => -EINVAL,
    lookup4,
    update4,
    remove4: () => -EINVAL,
    add: () => add4(keyWord[0]!),
    add4,
    lookupMany: (chunk, n) =>
      forMany(chunk, n, -ENOENT, (index, values, i) => {
        if (index >= maxEntries) return -ENOENT;
        load(index, values, i);
        return 0;
      }),
    updateMany: (chunk, n, flags) =>
      forMany(chunk, n, refusalOf(flags), (index, values, i) => {
        const ret = refusal(index, flags);
        if (ret === 0) put(index, values, i);
        return ret;
      }),
    removeMany: (chunk, n) => forMany(chunk, n, -ENOENT, () => -EINVAL),
    count: () => maxEntries,
    close: () => mapping[Symbol.dispose](),
  };
}

/** Why an array that can be mapped is not, and the way out. */
const hints: Readonly<Record<string, string>> = {
  EACCES: "to map it the fd must read and write (no BPF_F_RDONLY, BPF_F_WRONLY)",
  EPERM: "the map is frozen: open it without mmap, to read",
};

function mapAll(kernel: Kernel, fd: number, length: number): UserBuffer {
  try {
    return kernel.mmap(fd, length, { writable: true });
  } catch (error) {
    if (!(error instanceof BpfError) || error.hint !== undefined) throw error;
    const hint = hints[error.code];
    if (hint === undefined) throw error;
    throw new BpfError(`Cannot map ${length} bytes of the array`, error.errno, { syscall: "mmap", hint, cause: error });
  }
}

/** Adds one lane of `own` to that of an elem, in one atomic step. */
function adder({ offset, width }: Lane, words: Int32Array, own: Int32Array, stride: number): (index: number) => void {
  const { buffer, byteOffset, byteLength } = words;
  const from = offset / width;
  const step = stride / width;
  if (width === 8) {
    const to = new BigInt64Array(buffer, byteOffset, byteLength / 8);
    const delta = new BigInt64Array(own.buffer);
    return (index) => void Atomics.add(to, index * step + from, delta[from]!);
  }
  if (width === 4) {
    const delta = new Int32Array(own.buffer);
    return (index) => void Atomics.add(words, index * step + from, delta[from]!);
  }
  if (width === 2) {
    const to = new Int16Array(buffer, byteOffset, byteLength / 2);
    const delta = new Int16Array(own.buffer);
    return (index) => void Atomics.add(to, index * step + from, delta[from]!);
  }
  const to = new Int8Array(buffer, byteOffset, byteLength);
  const delta = new Int8Array(own.buffer);
  return (index) => void Atomics.add(to, index * step + from, delta[from]!);
}
