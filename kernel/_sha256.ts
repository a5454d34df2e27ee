/**
 * SHA-256 (FIPS 180-4) of a run of bytes, for struct bpf_map_info.hash.
 *
 * Works in scratch memory of the caller's:
 *
 *      0  schedule: 64 words
 *    256  state: 8 words
 */
const STATE_OFF: usize = 256;
export const SHA256_SCRATCH: u32 = 288;
const BLOCK: u32 = 64;

/** Leaves the 32 bytes of the hash at `scratch`. */
export function sha256(from: usize, bytes: u32, scratch: usize): void {
  const state = scratch + STATE_OFF;
  store<u32>(state, 0x6a09e667);
  store<u32>(state, 0xbb67ae85, 4);
  store<u32>(state, 0x3c6ef372, 8);
  store<u32>(state, 0xa54ff53a, 12);
  store<u32>(state, 0x510e527f, 16);
  store<u32>(state, 0x9b05688c, 20);
  store<u32>(state, 0x1f83d9ab, 24);
  store<u32>(state, 0x5be0cd19, 28);
  let left = bytes;
  for (; left >= BLOCK; left -= BLOCK, from += BLOCK) addBlock(from, scratch);
  // What is left, a bit, zeroes, and the length in bits.
  memory.fill(scratch, 0, BLOCK);
  if (left != 0) memory.copy(scratch, from, left);
  store<u8>(scratch + left, 0x80);
  if (left >= BLOCK - 8) {
    addBlock(scratch, scratch);
    memory.fill(scratch, 0, BLOCK);
  }
  store<u64>(scratch, bswap<u64>(<u64>bytes * 8), BLOCK - 8);
  addBlock(scratch, scratch);
  for (let i: usize = 0; i < 32; i += 4) store<u32>(scratch + i, bswap<u32>(load<u32>(state + i)));
}

function addBlock(from: usize, schedule: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(schedule + i, bswap<u32>(load<u32>(from + i)));
  for (let at = schedule + 64; at < schedule + 256; at += 4) {
    const w15 = load<u32>(at - 60);
    const w2 = load<u32>(at - 8);
    const s0 = rotr<u32>(w15, 7) ^ rotr<u32>(w15, 18) ^ (w15 >>> 3);
    const s1 = rotr<u32>(w2, 17) ^ rotr<u32>(w2, 19) ^ (w2 >>> 10);
    store<u32>(at, load<u32>(at - 64) + s0 + load<u32>(at - 28) + s1);
  }
  const state = schedule + STATE_OFF;
  let a = load<u32>(state);
  let b = load<u32>(state, 4);
  let c = load<u32>(state, 8);
  let d = load<u32>(state, 12);
  let e = load<u32>(state, 16);
  let f = load<u32>(state, 20);
  let g = load<u32>(state, 24);
  let h = load<u32>(state, 28);
  for (let i: u32 = 0; i < 64; i++) {
    const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const t1 = h + s1 + ((e & f) ^ (~e & g)) + constant(i) + load<u32>(schedule + 4 * <usize>i);
    const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  store<u32>(state, load<u32>(state) + a);
  store<u32>(state, load<u32>(state, 4) + b, 4);
  store<u32>(state, load<u32>(state, 8) + c, 8);
  store<u32>(state, load<u32>(state, 12) + d, 12);
  store<u32>(state, load<u32>(state, 16) + e, 16);
  store<u32>(state, load<u32>(state, 20) + f, 20);
  store<u32>(state, load<u32>(state, 24) + g, 24);
  store<u32>(state, load<u32>(state, 28) + h, 28);
}

/** The round's constant. Not a table: that would lie in memory that the kernel lays out. */
function constant(round: u32): u32 {
  switch (round) {
    case 0:
      return 0x428a2f98;
    case 1:
      return 0x71374491;
    case 2:
      return 0xb5c0fbcf;
    case 3:
      return 0xe9b5dba5;
    case 4:
      return 0x3956c25b;
    case 5:
      return 0x59f111f1;
    case 6:
      return 0x923f82a4;
    case 7:
      return 0xab1c5ed5;
    case 8:
      return 0xd807aa98;
    case 9:
      return 0x12835b01;
    case 10:
      return 0x243185be;
    case 11:
      return 0x550c7dc3;
    case 12:
      return 0x72be5d74;
    case 13:
      return 0x80deb1fe;
    case 14:
      return 0x9bdc06a7;
    case 15:
      return 0xc19bf174;
    case 16:
      return 0xe49b69c1;
    case 17:
      return 0xefbe4786;
    case 18:
      return 0x0fc19dc6;
    case 19:
      return 0x240ca1cc;
    case 20:
      return 0x2de92c6f;
    case 21:
      return 0x4a7484aa;
    case 22:
      return 0x5cb0a9dc;
    case 23:
      return 0x76f988da;
    case 24:
      return 0x983e5152;
    case 25:
      return 0xa831c66d;
    case 26:
      return 0xb00327c8;
    case 27:
      return 0xbf597fc7;
    case 28:
      return 0xc6e00bf3;
    case 29:
      return 0xd5a79147;
    case 30:
      return 0x06ca6351;
    case 31:
      return 0x14292967;
    case 32:
      return 0x27b70a85;
    case 33:
      return 0x2e1b2138;
    case 34:
      return 0x4d2c6dfc;
    case 35:
      return 0x53380d13;
    case 36:
      return 0x650a7354;
    case 37:
      return 0x766a0abb;
    case 38:
      return 0x81c2c92e;
    case 39:
      return 0x92722c85;
    case 40:
      return 0xa2bfe8a1;
    case 41:
      return 0xa81a664b;
    case 42:
      return 0xc24b8b70;
    case 43:
      return 0xc76c51a3;
    case 44:
      return 0xd192e819;
    case 45:
      return 0xd6990624;
    case 46:
      return 0xf40e3585;
    case 47:
      return 0x106aa070;
    case 48:
      return 0x19a4c116;
    case 49:
      return 0x1e376c08;
    case 50:
      return 0x2748774c;
    case 51:
      return 0x34b0bcb5;
    case 52:
      return 0x391c0cb3;
    case 53:
      return 0x4ed8aa4a;
    case 54:
      return 0x5b9cca4f;
    case 55:
      return 0x682e6ff3;
    case 56:
      return 0x748f82ee;
    case 57:
      return 0x78a5636f;
    case 58:
      return 0x84c87814;
    case 59:
      return 0x8cc70208;
    case 60:
      return 0x90befffa;
    case 61:
      return 0xa4506ceb;
    case 62:
      return 0xbef9a3f7;
    default:
      return 0xc67178f2;
  }
}
