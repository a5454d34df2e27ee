/**
 * An answer in one line.
 */
import { errnoName } from "tsbpf/uapi";
import { OPEN, WRONG } from "./canonical.js";
import type { Answer } from "./command.js";

const inWords: ReadonlyMap<number, string> = new Map([
  [OPEN, "one of the returns that depend on the order of elems"],
  [WRONG, "a key, an elem or an id that is not there"],
]);

/** What was returned, by name, and what was written. */
export function answerText({ ret, wrote }: Answer): string {
  const text = inWords.get(ret) ?? (ret < 0 ? `-${errnoName(-ret)}` : String(ret));
  return wrote === "" ? text : `${text}, wrote ${wrote}`;
}
