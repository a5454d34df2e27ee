/**
 * The kinds of keys and values that hash maps are measured with.
 */
import { be, type Codec, ipv4, struct, u16, u32, u64, u8 } from "tsbpf";
import type { TypeConversion } from "./npm_bpf.js";

/** A kind of map, and what each contender needs to know of it. */
export interface Kind<K, V> {
  readonly name: string;
  readonly key: Codec<K>;
  readonly value: Codec<V>;
  keyOf(n: number): K;
  valueOf(n: number): V;
  readonly delta: V;
  /** What a JavaScript Map needs as key. */
  jsKey(key: K): unknown;
  /** Another key for it, that is easier to write or to read, as a column of its own. */
  jsText?(key: K): string;
  /** How one adds in a JavaScript Map, given what it needs as key. */
  jsAdd(map: Map<unknown, V>, key: unknown, delta: V): void;
  /** What npm's bpf needs, where it takes part. */
  readonly npm?: NpmConversions<K, V>;
}

/** How npm's bpf turns bytes into keys and values and back, and how one adds to what it read. */
export interface NpmConversions<K, V> {
  readonly key: TypeConversion<K>;
  readonly value: TypeConversion<V>;
  add(old: V, delta: V): V;
}

const u32Conversion: TypeConversion<number> = {
  parse: (bytes) => bytes.readUInt32LE(0),
  format: (bytes, value) => void bytes.writeUInt32LE(value, 0),
};

export const u64Conversion: TypeConversion<bigint> = {
  parse: (bytes) => bytes.readBigUInt64LE(0),
  format: (bytes, value) => void bytes.writeBigUInt64LE(value, 0),
};

export const u32ToU32: Kind<number, number> = {
  name: "u32 -> u32",
  key: u32,
  value: u32,
  keyOf: (n) => n,
  valueOf: (n) => n,
  delta: 1,
  jsKey: (key) => key,
  jsAdd: (map, key, delta) => void map.set(key, (map.get(key) ?? 0) + delta),
  npm: { key: u32Conversion, value: u32Conversion, add: (old, delta) => (old + delta) >>> 0 },
};

export const u32ToU64: Kind<number, bigint> = {
  name: "u32 -> u64",
  key: u32,
  value: u64,
  keyOf: (n) => n,
  valueOf: (n) => BigInt(n),
  delta: 1n,
  jsKey: (key) => key,
  jsAdd: (map, key, delta) => void map.set(key, (map.get(key) ?? 0n) + delta),
  npm: { key: u32Conversion, value: u64Conversion, add: (old, delta) => BigInt.asUintN(64, old + delta) },
};

/** A flow, as packets have it: 13 bytes and 3 of padding. */
const flow = struct({ src: u32, dst: u32, sport: be.u16, dport: u16, proto: u8 });
type Flow = { src: number; dst: number; sport: number; dport: number; proto: number };

const traffic = struct({ packets: u64, bytes: u64 });
type Traffic = { packets: bigint; bytes: bigint };

export const structToStruct: Kind<Flow, Traffic> = {
  name: "struct of 16 bytes -> {packets, bytes}",
  key: flow,
  value: traffic,
  keyOf: (n) => ({ src: n, dst: 0x0a000001, sport: n & 0xffff, dport: 443, proto: 6 }),
  valueOf: (n) => ({ packets: BigInt(n), bytes: BigInt(n) * 64n }),
  delta: { packets: 1n, bytes: 64n },
  // Equal objects are different keys to a Map: a string of the fields is the usual way out.
  jsKey: ({ src, dst, sport, dport, proto }) => `${src}:${sport}>${dst}:${dport}/${proto}`,
  jsAdd: (map, key, delta) => {
    const old = map.get(key)!;
    old.packets += delta.packets;
    old.bytes += delta.bytes;
  },
  npm: {
    key: {
      parse: (bytes) => ({
        src: bytes.readUInt32LE(0),
        dst: bytes.readUInt32LE(4),
        sport: bytes.readUInt16BE(8),
        dport: bytes.readUInt16LE(10),
        proto: bytes.readUInt8(12),
      }),
      format: (bytes, { src, dst, sport, dport, proto }) => {
        bytes.writeUInt32LE(src, 0);
        bytes.writeUInt32LE(dst, 4);
        bytes.writeUInt16BE(sport, 8);
        bytes.writeUInt16LE(dport, 10);
        bytes.writeUInt8(proto, 12);
      },
    },
    value: {
      parse: (bytes) => ({ packets: bytes.readBigUInt64LE(0), bytes: bytes.readBigUInt64LE(8) }),
      format: (bytes, { packets, bytes: count }) => {
        bytes.writeBigUInt64LE(packets, 0);
        bytes.writeBigUInt64LE(count, 8);
      },
    },
    add: (old, delta) => ({ packets: old.packets + delta.packets, bytes: old.bytes + delta.bytes }),
  },
};

/** A key of 16 bytes without padding, and without text to parse. */
const words = struct({ a: u32, b: u32, c: u32, d: u32 });
type Words = { a: number; b: number; c: number; d: number };

export const wordsToU32: Kind<Words, number> = {
  name: "struct of four u32 -> u32",
  key: words,
  value: u32,
  keyOf: (n) => ({ a: n, b: 0x0a000001, c: (n & 0x7fff) * 65_537, d: 443 }),
  valueOf: (n) => n,
  delta: 1,
  // The key's 16 bytes, two a character. Of four ways to make a string of them this was the fastest (169 ns to get;
  // a byte a character 182; through a Buffer 209; decimals with commas, which is jsText, 647).
  jsKey: ({ a, b, c, d }) =>
    String.fromCharCode(a & 0xffff, a >>> 16, b & 0xffff, b >>> 16, c & 0xffff, c >>> 16, d & 0xffff, d >>> 16),
  jsText: ({ a, b, c, d }) => `${a},${b},${c},${d}`,
  jsAdd: (map, key, delta) => void map.set(key, (map.get(key) ?? 0) + delta),
  npm: {
    key: {
      parse: (bytes) => ({
        a: bytes.readUInt32LE(0),
        b: bytes.readUInt32LE(4),
        c: bytes.readUInt32LE(8),
        d: bytes.readUInt32LE(12),
      }),
      format: (bytes, { a, b, c, d }) => {
        bytes.writeUInt32LE(a, 0);
        bytes.writeUInt32LE(b, 4);
        bytes.writeUInt32LE(c, 8);
        bytes.writeUInt32LE(d, 12);
      },
    },
    value: u32Conversion,
    add: (old, delta) => (old + delta) >>> 0,
  },
};

/** The same flow with its addresses as text: what a program has that prints them, and pays for in parsing. */
const textFlow = struct({ src: ipv4, dst: ipv4, sport: be.u16, dport: be.u16, proto: u8 });
type TextFlow = { src: string; dst: string; sport: number; dport: number; proto: number };

export const textFlowToU64: Kind<TextFlow, bigint> = {
  name: "flow with addresses as text -> u64",
  key: textFlow,
  value: u64,
  keyOf: (n) => ({
    src: `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`,
    dst: "10.0.0.1",
    sport: n & 0xffff,
    dport: 443,
    proto: 6,
  }),
  valueOf: (n) => BigInt(n),
  delta: 1n,
  jsKey: ({ src, dst, sport, dport, proto }) => `${src}:${sport}>${dst}:${dport}/${proto}`,
  jsAdd: (map, key, delta) => void map.set(key, (map.get(key) ?? 0n) + delta),
};
