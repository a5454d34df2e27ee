/**
 * Findings of the engine's check, in words. The codes are those of kernel/check.ts and the files that it names.
 */

/** A finding is four words: what, where, found, wanted. */
export const FINDING_BYTES = 16;

type Text = (where: string, found: number, wanted: number) => string;

const texts: Readonly<Record<number, Text>> = {
  1: (where, found, wanted) => `page run at page ${where} has ${found} pages, where ${wanted} are left in its zone`,
  2: (where, found, wanted) =>
    `page run at page ${where} ends as one of ${found} pages, and begins as one of ${wanted}`,
  3: (where, found) => `page run at page ${where} is of kind ${found}, which is the other zone's`,
  4: (where, found) => `free page run at page ${where} (${found} pages) follows another free one`,
  5: (where, found) => `free page run at page ${where} (${found} pages) should have gone back to the gap`,
  6: (where, found, wanted) => `page run at page ${where} (${found} pages) does not belong into free list ${wanted}`,
  7: (_, found, wanted) => `${found} page runs are in free lists, and ${wanted} are free`,
  8: (_, found, wanted) => `${found} pages count as used, and ${wanted} are`,
  32: (_, found, wanted) => `${found} fds count as open, and ${wanted} are`,
  33: (where, found) => `fd ${Number(where)} is of a map at 0x${found.toString(16)} that is not listed`,
  34: (where, found) => `the pinned name at ${where} is of a map at 0x${found.toString(16)} that is not listed`,
  35: (where, found, wanted) => `map at ${where}: linked to 0x${found.toString(16)}, wanted 0x${wanted.toString(16)}`,
  36: (where, found) => `map at ${where}: another map has its id ${found} too`,
  37: (where, found, wanted) => `map at ${where}: ${found} references, where fds, names and elems are ${wanted}`,
  38: (_, found, wanted) => `${found} maps count as alive, and ${wanted} are listed`,
  39: (where, found) => `CPU ${Number(where)} belongs to task ${found}, which does not know it`,
  40: (where, found) => `stripe at ${where}: a value is being written (seq ${found}), but nobody writes`,
  41: (_, found, wanted) => `${found} maps count as ended, and ${wanted} are listed`,
  42: (where, found, wanted) => `map at ${where}: held ${found} times, where its holders say ${wanted}`,
  43: (where, found, wanted) => `map at ${where}: task ${found}, which is not there, holds it ${wanted} times`,
  46: (where, found) => `map at ${where}: an elem holds the program of id ${found}, which there is not`,
  44: (where, found) => `map at ${where}: an elem holds the map of id ${found}, which there is not`,
  45: (where, found) =>
    `for ids that end in ${Number(where)} stands a map at 0x${found.toString(16)} that is none of them`,
  50: (where, found) => `the name at ${where} is in a directory at 0x${found.toString(16)} that there is not`,
  51: (where, found) => `the name at ${where} is also that of 0x${found.toString(16)}`,
  52: (where, found) => `the name at ${where} is half way to replacing 0x${found.toString(16)}`,
  53: (where, found) => `the directory at ${where} is in 0x${found.toString(16)}, which is in it`,
  54: (where, found) => `fd ${Number(where)} is of BTF at 0x${found.toString(16)} that is not listed`,
  55: (where, found, wanted) => `BTF at ${where}: linked to 0x${found.toString(16)}, wanted 0x${wanted.toString(16)}`,
  56: (where, found) => `BTF at ${where}: another one has its id ${found} too`,
  57: (where, found, wanted) => `BTF at ${where}: ${found} references, where fds and maps are ${wanted}`,
  58: (where, found) => `map at ${where}: its BTF at 0x${found.toString(16)} is not listed`,
  59: (where, found, wanted) =>
    `program at ${where}: linked to 0x${found.toString(16)}, wanted 0x${wanted.toString(16)}`,
  60: (where, found) => `program at ${where}: another one has its id ${found} too`,
  61: (where, found, wanted) => `program at ${where}: ${found} references, where fds, names and elems are ${wanted}`,
  62: (where, found) => `program at ${where}: a map or BTF that it holds, at 0x${found.toString(16)}, is not listed`,
  63: (_, found, wanted) => `${found} programs count as ended, and ${wanted} are listed`,
  64: (where, found, wanted) =>
    `map at ${where}: what bucket ${wanted} leads to at 0x${found.toString(16)} is none of its parts`,
  65: (where, found, wanted) =>
    `map at ${where}: bucket ${found} has an elem that belongs into ${wanted}, or its tag is wrong`,
  66: (where, found) => `map at ${where}: the key of the elem at 0x${found.toString(16)} is there twice`,
  67: (where, found, wanted) => `map at ${where}: ${found} elems are counted, and ${wanted} are in buckets`,
  68: (where, found, wanted) => `map at ${where}: ${found} overflow lines are taken, and ${wanted} are in buckets`,
  69: (where, found, wanted) => `map at ${where}: ${found} slots are taken, and ${wanted} are in buckets`,
  70: (where, found, wanted) => `map at ${where}: it holds ${found} elems, and its max_entries is ${wanted}`,
  71: (where, found) => `line at ${where}: a value is being written (seq ${found}), but nobody writes`,
  72: (where, found, wanted) =>
    `map at ${where}: bucket ${wanted} leads to an empty overflow line at 0x${found.toString(16)}`,
  74: (where, found, wanted) => `map at ${where}: bucket ${wanted} goes in circles at 0x${found.toString(16)}`,
  73: (where, found, wanted) =>
    `map at ${where}: what bucket ${wanted} leads to at 0x${found.toString(16)} says it is another's`,
  75: (where, found, wanted) =>
    `line at ${where}: an elem was used last at ${found}, and the map's clock is at ${wanted}`,
  76: (where, found, wanted) => `map at ${where}: the queue of its oldest elems is at ${found} of ${wanted}`,
  96: (where, found, wanted) => `map at ${where}: ${found} prefixes are counted, and ${wanted} are in the trie`,
  97: (where, found, wanted) =>
    `trie node at ${where}: at byte ${found}, with ${wanted} items, is damaged or not in its place`,
  98: (where, found, wanted) => `map at ${where}: ${found} blocks are in use, and ${wanted} are in the trie`,
  99: (where, found, wanted) => `prefix at ${where}: of ${found} bits, does not belong in place ${wanted}`,
  100: (where, found, wanted) =>
    `map at ${where}: place ${found} of a table of first nodes leads to ${wanted}, and the trie does not`,
  82: (where, found, wanted) => `map at ${where}: the arena's pages have ${found} bytes, where ${wanted} are its`,
  83: (where, found, wanted) => `map at ${where}: ${found} bytes of the arena are mapped, and it has ${wanted}`,
  110: (where, found) =>
    `timers at ${where}: the map at 0x${found.toString(16)} that they are of has others, or is not listed`,
  111: (where, found, wanted) => `timer at ${where}: its state is ${found}, with a program at 0x${wanted.toString(16)}`,
  112: (where, found) => `timer at ${where}: the program at 0x${found.toString(16)} that it holds is not listed`,
  113: (where, found) => `timer at ${where}: task ${found} runs its function, and does not know it`,
  114: (where, found, wanted) =>
    `timer at ${where}: is in no heap's order, or linked to 0x${found.toString(16)}, wanted 0x${wanted.toString(16)}`,
  115: (_, found, wanted) => `${found} timers are in heaps, and ${wanted} are armed`,
  80: (where, found, wanted) => `queue at ${where}: ${wanted} values from slot ${found} on are more than it has slots`,
};

/** Findings as the engine wrote them, as sentences. */
export function describeFindings(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sentences: string[] = [];
  for (let at = 0; at < bytes.length; at += FINDING_BYTES) {
    const code = view.getUint32(at, true);
    const where = view.getUint32(at + 4, true);
    const isPage = code < 32;
    const text = texts[code];
    const place = isPage ? `${where}` : `0x${where.toString(16)}`;
    const found = view.getUint32(at + 8, true);
    sentences.push(
      text === undefined ? `finding ${code} at ${place}` : text(place, found, view.getUint32(at + 12, true)),
    );
  }
  return sentences;
}
