/**
 * What a struct is made of, for the two ways to its properties (_generate.ts, _row.ts).
 */
import type { Codec } from "./codec.js";

/** A field and where it lies. */
export interface Field {
  readonly name: string;
  readonly codec: Codec<unknown>;
  /** In bytes from the struct's begin. */
  readonly off: number;
}

/** A struct's value. */
export type Row = Record<string, unknown>;

/** The functions of a struct's codec. */
export type RowAccess = Pick<Codec<Row>, "fits" | "write" | "read">;

/** What they need beside the fields. */
export interface RowCommon {
  /** Offsets of the bytes that no field covers. */
  readonly padding: readonly number[];
  /** Throws for a row that does not fit. */
  readonly check: (row: Row, at: string) => void;
}
