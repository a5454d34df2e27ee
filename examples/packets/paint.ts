/**
 * Colours and columns of text. Widths are counted before colours are put on.
 */

/** Puts colours on, or does nothing. */
export interface Paint {
  title(text: string): string;
  head(text: string): string;
  bar(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

const sgr =
  (code: number) =>
  (text: string): string =>
    text === "" ? "" : `\x1b[${code}m${text}\x1b[0m`;
const plain = (text: string): string => text;

export const colours: Paint = { title: sgr(1), head: sgr(2), bar: sgr(36), good: sgr(32), bad: sgr(31) };
export const noColours: Paint = { title: plain, head: plain, bar: plain, good: plain, bad: plain };

/** A column of a table: how it is called, and whether it is of numbers, which end at the same place. */
export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

const GAP = "  ";

/** Pads cells into lines of equal width, the columns' titles first. */
export function align(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)));
  return lines.map((cells) =>
    cells
      .map((cell, column) =>
        columns[column]!.isNumber ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join(GAP),
  );
}
