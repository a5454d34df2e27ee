/**
 * How the program ends.
 */

/** Its exit codes; those from 64 on are sysexits(3)'s. */
export const Exit = {
  ok: 0,
  /** A kernel refused, a worker failed, a map was full, or the maps are not equal to the file. */
  failed: 1,
  /** The capture is truncated or damaged: what is whole was counted. */
  broken: 2,
  usage: 64,
  notACapture: 65,
  unreadable: 66,
} as const;

/** Ends the program, with a message that is all a user needs to know. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
