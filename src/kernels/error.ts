/**
 * BpfError: the one exception above the door. Below it everything is a negative errno.
 */
import { errnoName } from "../uapi/errno_name.js";

/** What is known about a failed call, beside its errno. */
export interface BpfErrorDetails {
  /** The call: "bpf" unless told ("mmap", "close", "open"). */
  readonly syscall?: string;
  /** The command, by its kernel name: "BPF_MAP_UPDATE_ELEM". */
  readonly cmd?: string;
  /** The likely reason and the way out. */
  readonly hint?: string;
  /** Whatever a program may want to look at: `map` (its type, sizes, flags, name), `key`. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * An errno that a kernel answered, with Node's fields.
 *
 * The message says what was tried, on which map, what failed, and the hint in parentheses.
 */
export class BpfError extends Error {
  override readonly name = "BpfError";
  /** The errno's name: "E2BIG". */
  readonly code: string;
  /** The negative errno, as Node has it: -7. */
  readonly errno: number;
  readonly syscall: string;
  readonly cmd: string | undefined;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  /**
   * @param what What was tried, without the errno: `Cannot create hash map "conns"`.
   * @param errno The errno, negative or positive.
   */
  constructor(what: string, errno: number, about: BpfErrorDetails = {}) {
    const code = errnoName(Math.abs(errno));
    const failed = about.cmd ?? about.syscall;
    const hint = about.hint === undefined ? "" : ` (${about.hint})`;
    super(
      `${what}: ${failed === undefined ? code : `${failed} failed with ${code}`}${hint}`,
      about.cause === undefined ? undefined : { cause: about.cause },
    );
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = about.syscall ?? "bpf";
    this.cmd = about.cmd;
    this.hint = about.hint;
    this.details = about.details ?? {};
  }
}
