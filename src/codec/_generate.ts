/**
 * Structs as straight-line code, generated for each: what one would write by hand for its fields.
 *
 *     struct({ src: u32, port: be.u16 })
 *
 *     write(view, o, row, at = "value") {
 *       if (typeof row !== "object" || row === null) return check(row, at);
 *       const v0 = row["src"], v1 = row["port"];
 *       if (!(typeof v0 === "number" && v0 >>> 0 === v0 && ...)) return check(row, at);
 *       view.setUint32(o, v0, true);
 *       view.setUint32(o + 4, ((v1 & 255) << 8 | v1 >>> 8 & 255), true);
 *     }
 *
 * Fields of less than four bytes, and padding, are stored together as far as they share an aligned word: who hashes a key
 * right after it was written, word by word, would wait for a store that is narrower than its load (some 5 ns, measured).
 *
 * A struct of five integers is written in 6 ns so, and in 20 by the functions of _row.ts, which all structs share; in a
 * program with many structs the difference is larger (measured). Where a page's content security policy forbids code made
 * at run time, and for structs of very many fields, those do it.
 */
import type { Field, RowAccess, RowCommon } from "./_field.js";
import { type Fields, type Scalar, type Unit, type Use, inlineOf } from "./_inline.js";

/** With more parts than this the code would become too large to be compiled well. */
const MOST_PARTS = 64;

let allowed: boolean | undefined;

/** Whether code may be generated here. Asked for the first struct only: a page's policy may report that we tried. */
export function mayGenerate(): boolean {
  allowed ??= tryGenerate();
  return allowed;
}

function tryGenerate(): boolean {
  try {
    compile([], "return true;")();
    return true;
  } catch {
    return false;
  }
}

function compile(names: readonly string[], body: string): (...values: unknown[]) => unknown {
  // oxlint-disable-next-line no-implied-eval, no-new-func -- all names in the text are quoted or our own
  return new Function(...names, `"use strict"; ${body}`) as (...values: unknown[]) => unknown;
}

/** One part of a row: where it lies, and how it is written out. */
interface Part extends Scalar {
  readonly off: number;
}

/** The text of a row's functions, as it grows. */
class Text {
  /** Statements that take the properties out of the row; given what to do when one is no object. */
  readonly taken: ((no: string) => string)[] = [];
  readonly tests: string[] = [];
  readonly stores: string[] = [];
  /** What may be stored together: by offset. */
  readonly #units = new Map<number, Unit>();
  /** The literal that reading gives. */
  readonly literal: string;
  readonly names: string[] = [];
  readonly values: unknown[] = [];
  #count = 0;

  constructor(fields: Fields) {
    this.literal = this.#row(fields, "row", 0);
    this.#storeUnits();
  }

  readonly #use: Use = (what) => {
    const at = this.values.indexOf(what);
    if (at >= 0) return this.names[at]!;
    this.values.push(what);
    return this.names[this.names.push(`u${this.names.length}`) - 1]!;
  };

  #row({ fields, padding }: Fields, row: string, off: number): string {
    const members = fields.map((field) => `${JSON.stringify(field.name)}: ${this.#field(field, row, off)}`);
    for (const pad of padding) this.#units.set(off + pad, { bytes: 1, bits: "0" });
    return `{ ${members.join(", ")} }`;
  }

  #field({ name, codec, off }: Field, row: string, base: number): string {
    const value = `v${this.#count++}`;
    const inline = inlineOf(codec);
    this.taken.push(() => `const ${value} = ${row}[${JSON.stringify(name)}];`);
    if ("fields" in inline) {
      this.taken.push((no) => `if (typeof ${value} !== "object" || ${value} === null) ${no};`);
      return this.#row(inline, value, base + off);
    }
    return this.#part({ ...inline, off: base + off }, value);
  }

  #part({ encode, test, store, units, load, off }: Part, value: string): string {
    let x = value;
    if (encode !== undefined) {
      x = `x${value}`;
      const encoded = encode(value, this.#use);
      this.taken.push(() => `const ${x} = ${encoded};`);
    }
    this.tests.push(test(x, this.#use));
    let at = off;
    const parts = units?.(x);
    if (parts === undefined) this.stores.push(store("view", place(off), x, this.#use));
    for (const unit of parts ?? []) {
      this.#units.set(at, unit);
      at += unit.bytes;
    }
    return load("view", place(off), this.#use);
  }

  /** Stores units together, four bytes where that goes, else two, else as they are. */
  #storeUnits(): void {
    for (const off of [...this.#units.keys()].toSorted((a, b) => a - b)) {
      for (const bytes of [4, 2, 1]) {
        const bits =
          off % bytes === 0 || bytes === this.#units.get(off)?.bytes ? joined(this.#units, off, bytes) : undefined;
        if (bits === undefined) continue;
        this.stores.push(`view.setUint${8 * bytes}(${place(off)}, ${bits}${bytes > 1 ? ", true" : ""})`);
        for (let at = off; at < off + bytes; at++) this.#units.delete(at);
        break;
      }
    }
  }
}

/** The units that fill these bytes, as one integer; undefined where they do not. */
function joined(units: ReadonlyMap<number, Unit>, from: number, bytes: number): string | undefined {
  const bits: string[] = [];
  let at = from;
  while (at < from + bytes) {
    const unit = units.get(at);
    if (unit === undefined) return undefined;
    if (unit.bits !== "0") bits.push(at === from ? unit.bits : `${unit.bits} << ${8 * (at - from)}`);
    at += unit.bytes;
  }
  return at > from + bytes ? undefined : bits.join(" | ") || "0";
}

const place = (off: number): string => (off === 0 ? "o" : `o + ${off}`);

function countParts({ fields }: Fields): number {
  let count = 0;
  for (const { codec } of fields) {
    const inline = inlineOf(codec);
    count += "fields" in inline ? countParts(inline) : 1;
  }
  return count;
}

/** The functions of a struct's codec; undefined where they cannot be generated. */
export function generateRow(fields: readonly Field[], { padding, check }: RowCommon): RowAccess | undefined {
  if (!mayGenerate() || countParts({ fields, padding }) > MOST_PARTS) return undefined;
  const { taken, tests, stores, literal, names, values } = new Text({ fields, padding });
  const take = (no: string): string => taken.map((statement) => statement(no)).join("\n");
  const body = `return {
    fits(row) {
      if (typeof row !== "object" || row === null) return false;
      ${take("return false")}
      return ${tests.join(" && ")};
    },
    write(view, o, row, at = "value") {
      if (typeof row !== "object" || row === null) return check(row, at);
      ${take("return check(row, at)")}
      if (!(${tests.join(" && ")})) return check(row, at);
      ${stores.join(";\n")};
    },
    read(view, o) {
      return ${literal};
    },
  };`;
  return compile(["check", ...names], body)(check, ...values) as RowAccess;
}
