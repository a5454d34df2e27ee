/**
 * Pointers that no kernel may follow: NULL, below what a process may map, behind the arena, across its end, not canonical.
 */
import { END } from "../machine/arena.js";
import type { Word } from "../machine/command.js";

export const badPointers: readonly Word[] = [
  0,
  1,
  8,
  4088,
  4096,
  0xfff8,
  { to: END },
  { to: END + 1 },
  { to: END - 1 },
  { to: END - 3 },
  { to: END - 8 },
  2n ** 47n,
  2n ** 63n,
  2n ** 64n - 4096n,
  2n ** 64n - 1n,
];
