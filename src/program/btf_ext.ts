/**
 * .BTF.ext: where functions and source lines begin, by section.
 *
 *     0       2         3       4         8          12         16         20         24           28
 *     | magic | version | flags | hdr_len | func_off | func_len | line_off | line_len | relo_off   | relo_len |
 *
 *     each of the three: | rec_size | and for each section | name | count | count records of rec_size |
 *
 *     a function   | insn_off | type_id |                             a line   | insn_off | file | line | column |
 */
import { BtfError } from "../btf/btf.js";
import { BTF_MAGIC } from "../btf/types.js";

/** A record: where its instruction lies in its section, in bytes, and the rest as it stands. */
export interface ExtRecord {
  readonly insnOff: number;
  readonly rest: readonly number[];
}

/** Records, by the names of sections. */
export type ExtRecords = ReadonlyMap<string, readonly ExtRecord[]>;

export interface BtfExt {
  readonly funcs: ExtRecords;
  readonly lines: ExtRecords;
  /** CO-RE relocations: `rest` is the type, where the access is among names, and the kind. */
  readonly relocations: ExtRecords;
  /** .BTF's strings. */
  readonly nameAt: (off: number) => string;
}

const HEADER_SIZE = 24;

/**
 * Reads .BTF.ext.
 *
 * @param btf The object's .BTF, which has the names.
 * @throws {BtfError} It is damaged
 */
export function readBtfExt(bytes: Uint8Array, btf: Uint8Array): BtfExt {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_SIZE || view.getUint16(0, true) !== BTF_MAGIC) {
    throw new BtfError(`Cannot read .BTF.ext: wanted ${HEADER_SIZE} bytes that begin with magic 0xeb9f`);
  }
  const header = view.getUint32(4, true);
  const nameAt = namesIn(btf);
  const part = (at: number, what: string): ExtRecords => {
    if (header < at + 8) return new Map();
    const off = header + view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    if (off + length > bytes.length) {
      throw new BtfError(`Cannot read .BTF.ext: ${what} end at ${off + length}, the section at ${bytes.length}`);
    }
    return recordsOf(new DataView(bytes.buffer, bytes.byteOffset + off, length), nameAt, what);
  };
  return { funcs: part(8, "functions"), lines: part(16, "lines"), relocations: part(24, "CO-RE relocations"), nameAt };
}

function recordsOf(view: DataView, nameAt: (off: number) => string, what: string): ExtRecords {
  const bySection = new Map<string, ExtRecord[]>();
  if (view.byteLength === 0) return bySection;
  const refuse = (found: string): never => {
    throw new BtfError(`Cannot read .BTF.ext: of ${what} ${found}`);
  };
  const size = view.byteLength < 4 ? 0 : view.getUint32(0, true);
  if (size < 8 || size % 4 !== 0) refuse(`each takes ${size} bytes`);
  for (let at = 4; at < view.byteLength;) {
    if (at + 8 > view.byteLength) refuse(`the last section ends early, at ${at}`);
    const [name, count] = [nameAt(view.getUint32(at, true)), view.getUint32(at + 4, true)];
    at += 8;
    if (at + count * size > view.byteLength) refuse(`section "${name}" has ${count}, more than there is room for`);
    const records = bySection.get(name) ?? [];
    for (let i = 0; i < count; i++, at += size) {
      const rest = Array.from({ length: size / 4 - 1 }, (_, j) => view.getUint32(at + 4 + 4 * j, true));
      records.push({ insnOff: view.getUint32(at, true), rest });
    }
    bySection.set(name, records);
  }
  return bySection;
}

/** Strings of a .BTF, which was checked already, by their offset. */
function namesIn(btf: Uint8Array): (off: number) => string {
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
  const begin = view.getUint32(4, true) + view.getUint32(16, true);
  const strings = btf.subarray(begin, begin + view.getUint32(20, true));
  return (off) => {
    if (off >= strings.length) throw new BtfError(`Cannot read .BTF.ext: no name at ${off}`);
    return new TextDecoder().decode(strings.slice(off, strings.indexOf(0, off)));
  };
}
