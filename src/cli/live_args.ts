/**
 * What live views share: the words that say how often and how much they look, and the loop.
 */
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import type { Syscalls } from "./syscalls.js";

/** How a view looks at maps. */
export interface Looks {
  intervalMs: number;
  /** How often. */
  count: number;
  /** Maps of more elems than this are not read whole. */
  limit: number;
}

/** At least so much time between two looks. */
const MIN_INTERVAL_MS = 20;

/** How views look unless told. */
export function defaultLooks(context: Context): Looks {
  return { intervalMs: 1000, count: context.options.once ? 1 : Number.POSITIVE_INFINITY, limit: 10_000 };
}

/** A view has standard output for itself, and looks at what others do: a batch has both for all its commands. */
export function refuseInBatch(context: Context, depth: number): void {
  if (depth > 0) context.fail("live views are not for batches");
}

/** Reads one of: interval SECONDS, count N, limit ELEMS. False: the next word is none of them. */
export function takeLooks(args: Args, looks: Looks): boolean {
  if (args.takeIf("interval")) {
    const word = args.take();
    const ms = /^\d+(\.\d+)?$/.test(word) ? Number(word) * 1000 : Number.NaN;
    if (!(ms >= MIN_INTERVAL_MS && ms <= 86_400_000)) {
      throw new ArgsError(`interval out of range ${MIN_INTERVAL_MS / 1000}..86400 seconds: ${word}`);
    }
    looks.intervalMs = ms;
  } else if (args.takeIf("count")) {
    looks.count = args.takeU32("count");
    if (looks.count === 0) throw new ArgsError("count out of range 1..4294967295: 0");
  } else if (args.takeIf("limit")) {
    const limit = args.takeU32("limit");
    looks.limit = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  } else {
    return false;
  }
  return true;
}

/**
 * Looks again and again.
 *
 * @param look Returns false when there is nothing more to see. It is given the kernel as it is now, and the time of the look.
 */
export async function lookOften(
  context: Context,
  looks: Looks,
  look: (bpf: Syscalls, at: Date) => boolean,
): Promise<void> {
  const live = looks.count === 1 ? undefined : context.io.live?.();
  try {
    for (let done = 1; look(await context.look(), new Date()) && done < looks.count; done++) {
      context.closeFds();
      if (live === undefined || (await live.pause(looks.intervalMs))) break;
    }
  } finally {
    live?.close();
  }
}
