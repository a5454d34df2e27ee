/**
 * How a struct's properties are read and written where no code can be generated (_generate.ts): a function for each
 * number of fields, a line for each field.
 *
 * Repetitive on purpose. V8 remembers at every place in the source which property and which codec it met there, and
 * inlines them. With places of their own for the fields of structs of 1, 2, ... 8 fields, a struct of five integers
 * takes some 20 ns; a loop over fields takes over 100 (measured).
 */
import type { Field, Row, RowAccess, RowCommon } from "./_field.js";

type Access = Pick<RowAccess, "write" | "read">;

const isRow = (value: unknown): value is Row => typeof value === "object" && value !== null;

function zero(view: DataView, offset: number, padding: readonly number[]): void {
  for (let i = 0; i < padding.length; i++) view.setUint8(offset + padding[i]!, 0);
}

// In each `write`: every property is read once, all are tested, and only then the first is written.

function of1({ padding, check }: RowCommon, a: Field): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      if (!a.codec.fits(av)) return check(row, at);
      a.codec.write(view, offset + a.off, av);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      return row;
    },
  };
}

function of2({ padding, check }: RowCommon, a: Field, b: Field): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      const bv = row[b.name];
      if (!(a.codec.fits(av) && b.codec.fits(bv))) return check(row, at);
      a.codec.write(view, offset + a.off, av);
      b.codec.write(view, offset + b.off, bv);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      row[b.name] = b.codec.read(view, offset + b.off);
      return row;
    },
  };
}

function of3({ padding, check }: RowCommon, a: Field, b: Field, c: Field): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      const bv = row[b.name];
      const cv = row[c.name];
      if (!(a.codec.fits(av) && b.codec.fits(bv) && c.codec.fits(cv))) return check(row, at);
      a.codec.write(view, offset + a.off, av);
      b.codec.write(view, offset + b.off, bv);
      c.codec.write(view, offset + c.off, cv);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      row[b.name] = b.codec.read(view, offset + b.off);
      row[c.name] = c.codec.read(view, offset + c.off);
      return row;
    },
  };
}

function of4({ padding, check }: RowCommon, a: Field, b: Field, c: Field, d: Field): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      const bv = row[b.name];
      const cv = row[c.name];
      const dv = row[d.name];
      if (!(a.codec.fits(av) && b.codec.fits(bv) && c.codec.fits(cv) && d.codec.fits(dv))) return check(row, at);
      a.codec.write(view, offset + a.off, av);
      b.codec.write(view, offset + b.off, bv);
      c.codec.write(view, offset + c.off, cv);
      d.codec.write(view, offset + d.off, dv);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      row[b.name] = b.codec.read(view, offset + b.off);
      row[c.name] = c.codec.read(view, offset + c.off);
      row[d.name] = d.codec.read(view, offset + d.off);
      return row;
    },
  };
}

function of5({ padding, check }: RowCommon, a: Field, b: Field, c: Field, d: Field, e: Field): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      const bv = row[b.name];
      const cv = row[c.name];
      const dv = row[d.name];
      const ev = row[e.name];
      if (!(a.codec.fits(av) && b.codec.fits(bv) && c.codec.fits(cv) && d.codec.fits(dv) && e.codec.fits(ev)))
        return check(row, at);
      a.codec.write(view, offset + a.off, av);
      b.codec.write(view, offset + b.off, bv);
      c.codec.write(view, offset + c.off, cv);
      d.codec.write(view, offset + d.off, dv);
      e.codec.write(view, offset + e.off, ev);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      row[b.name] = b.codec.read(view, offset + b.off);
      row[c.name] = c.codec.read(view, offset + c.off);
      row[d.name] = d.codec.read(view, offset + d.off);
      row[e.name] = e.codec.read(view, offset + e.off);
      return row;
    },
  };
}

function of6({ padding, check }: RowCommon, a: Field, b: Field, c: Field, d: Field, e: Field, f: Field): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      const bv = row[b.name];
      const cv = row[c.name];
      const dv = row[d.name];
      const ev = row[e.name];
      const fv = row[f.name];
      if (
        !(
          a.codec.fits(av) &&
          b.codec.fits(bv) &&
          c.codec.fits(cv) &&
          d.codec.fits(dv) &&
          e.codec.fits(ev) &&
          f.codec.fits(fv)
        )
      )
        return check(row, at);
      a.codec.write(view, offset + a.off, av);
      b.codec.write(view, offset + b.off, bv);
      c.codec.write(view, offset + c.off, cv);
      d.codec.write(view, offset + d.off, dv);
      e.codec.write(view, offset + e.off, ev);
      f.codec.write(view, offset + f.off, fv);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      row[b.name] = b.codec.read(view, offset + b.off);
      row[c.name] = c.codec.read(view, offset + c.off);
      row[d.name] = d.codec.read(view, offset + d.off);
      row[e.name] = e.codec.read(view, offset + e.off);
      row[f.name] = f.codec.read(view, offset + f.off);
      return row;
    },
  };
}

function of7(
  { padding, check }: RowCommon,
  a: Field,
  b: Field,
  c: Field,
  d: Field,
  e: Field,
  f: Field,
  g: Field,
): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      const bv = row[b.name];
      const cv = row[c.name];
      const dv = row[d.name];
      const ev = row[e.name];
      const fv = row[f.name];
      const gv = row[g.name];
      if (
        !(
          a.codec.fits(av) &&
          b.codec.fits(bv) &&
          c.codec.fits(cv) &&
          d.codec.fits(dv) &&
          e.codec.fits(ev) &&
          f.codec.fits(fv) &&
          g.codec.fits(gv)
        )
      )
        return check(row, at);
      a.codec.write(view, offset + a.off, av);
      b.codec.write(view, offset + b.off, bv);
      c.codec.write(view, offset + c.off, cv);
      d.codec.write(view, offset + d.off, dv);
      e.codec.write(view, offset + e.off, ev);
      f.codec.write(view, offset + f.off, fv);
      g.codec.write(view, offset + g.off, gv);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      row[b.name] = b.codec.read(view, offset + b.off);
      row[c.name] = c.codec.read(view, offset + c.off);
      row[d.name] = d.codec.read(view, offset + d.off);
      row[e.name] = e.codec.read(view, offset + e.off);
      row[f.name] = f.codec.read(view, offset + f.off);
      row[g.name] = g.codec.read(view, offset + g.off);
      return row;
    },
  };
}

function of8(
  { padding, check }: RowCommon,
  a: Field,
  b: Field,
  c: Field,
  d: Field,
  e: Field,
  f: Field,
  g: Field,
  h: Field,
): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const av = row[a.name];
      const bv = row[b.name];
      const cv = row[c.name];
      const dv = row[d.name];
      const ev = row[e.name];
      const fv = row[f.name];
      const gv = row[g.name];
      const hv = row[h.name];
      if (
        !(
          a.codec.fits(av) &&
          b.codec.fits(bv) &&
          c.codec.fits(cv) &&
          d.codec.fits(dv) &&
          e.codec.fits(ev) &&
          f.codec.fits(fv) &&
          g.codec.fits(gv) &&
          h.codec.fits(hv)
        )
      )
        return check(row, at);
      a.codec.write(view, offset + a.off, av);
      b.codec.write(view, offset + b.off, bv);
      c.codec.write(view, offset + c.off, cv);
      d.codec.write(view, offset + d.off, dv);
      e.codec.write(view, offset + e.off, ev);
      f.codec.write(view, offset + f.off, fv);
      g.codec.write(view, offset + g.off, gv);
      h.codec.write(view, offset + h.off, hv);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      row[a.name] = a.codec.read(view, offset + a.off);
      row[b.name] = b.codec.read(view, offset + b.off);
      row[c.name] = c.codec.read(view, offset + c.off);
      row[d.name] = d.codec.read(view, offset + d.off);
      row[e.name] = e.codec.read(view, offset + e.off);
      row[f.name] = f.codec.read(view, offset + f.off);
      row[g.name] = g.codec.read(view, offset + g.off);
      row[h.name] = h.codec.read(view, offset + h.off);
      return row;
    },
  };
}

function ofMany({ padding, check }: RowCommon, ...fields: readonly Field[]): Access {
  return {
    write(view, offset, row, at = "value") {
      if (!isRow(row)) return check(row, at);
      const values = fields.map(({ name }) => row[name]);
      for (let i = 0; i < fields.length; i++) if (!fields[i]!.codec.fits(values[i])) return check(row, at);
      for (let i = 0; i < fields.length; i++) fields[i]!.codec.write(view, offset + fields[i]!.off, values[i]);
      zero(view, offset, padding);
    },
    read(view, offset) {
      const row: Row = {};
      for (const { name, codec, off } of fields) row[name] = codec.read(view, offset + off);
      return row;
    },
  };
}

const byCount: readonly ((common: RowCommon, ...fields: Field[]) => Access)[] = [
  ofMany,
  of1,
  of2,
  of3,
  of4,
  of5,
  of6,
  of7,
  of8,
];

/** Tests, writes and reads rows of these fields. */
export function rowAccess(fields: readonly Field[], common: RowCommon): RowAccess {
  const { write, read } = (byCount[fields.length] ?? ofMany)(common, ...fields);
  const fits = (row: unknown): boolean => {
    if (!isRow(row)) return false;
    for (let i = 0; i < fields.length; i++) if (!fields[i]!.codec.fits(row[fields[i]!.name])) return false;
    return true;
  };
  return { fits, write, read };
}
