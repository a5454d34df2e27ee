/**
 * The kinds of keys and values that hash maps are measured with.
 */
import { be, type Codec, struct, u16, u32, u64, u8 } from "tsbpf";
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
  /** How one adds in a JavaScript Map. */
  jsAdd(map: Map<unknown, V>, key: K, delta: V): void;
  readonly npmKey: TypeConversion<K>;
  readonly npmValue: TypeConversion<V>;
  npmAdd(old: V, delta: V): V;
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
  npmKey: u32Conversion,
  npmValue: u32Conversion,
  npmAdd: (old, delta) => (old + delta) >>> 0,
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
  npmKey: u32Conversion,
  npmValue: u64Conversion,
  npmAdd: (old, delta) => BigInt.asUintN(64, old + delta),
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
    const old = map.get(structToStruct.jsKey(key))!;
    old.packets += delta.packets;
    old.bytes += delta.bytes;
  },
  npmKey: {
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
  npmValue: {
    parse: (bytes) => ({ packets: bytes.readBigUInt64LE(0), bytes: bytes.readBigUInt64LE(8) }),
    format: (bytes, { packets, bytes: count }) => {
      bytes.writeBigUInt64LE(packets, 0);
      bytes.writeBigUInt64LE(count, 8);
    },
  },
  npmAdd: (old, delta) => ({ packets: old.packets + delta.packets, bytes: old.bytes + delta.bytes }),
};
