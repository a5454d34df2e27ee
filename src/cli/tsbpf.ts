/**
 * The command line from argv to exit status.
 */
import { runCommand } from "./commands.js";
import { Context } from "./context.js";
import { CommandFailure, isForUser } from "./failures.js";
import { help, usage } from "./help.js";
import { parseOptions } from "./options.js";
import type { Io } from "./output.js";
import { version } from "./version.js";

/**
 * Runs a command.
 *
 * @param argv What follows the program's name.
 * @returns The exit status, 0 to 255.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const { options, args, stop } = parseOptions(argv, io.env);
  const context = new Context(options, io);
  const asked = stop !== undefined && "help" in stop;
  let status = await statusOf(context, async () => {
    if (asked) help(context);
    else if (stop !== undefined && "failure" in stop) context.fail(stop.failure);
    else if (stop !== undefined) refuse(context, stop.error);
    else if (options.version) await version(context);
    else await runCommand(context, args);
  });
  // Keeps what was done, also by a batch that failed later on.
  const closed = await statusOf(context, () => context.close());
  if (status === 0) status = closed;
  // bpftool leaves the newline out where options ended the command: help, version, a base of BTF that cannot be read.
  const ended = stop === undefined ? options.version : asked || "failure" in stop;
  const bare = options.bpftool && ended;
  if (!bare) context.out.end();
  // As in C, the low byte of a negative number.
  return status & 0xff;
}

function refuse(context: Context, message: string): never {
  context.out.error(message);
  if (context.out.json === undefined) return usage(context);
  return context.failSilently();
}

async function statusOf(context: Context, run: () => void | Promise<void>): Promise<number> {
  try {
    await run();
    return 0;
  } catch (error) {
    if (error instanceof CommandFailure) return error.status;
    if (!isForUser(error)) throw error;
    context.out.error(error.message);
    return -1;
  }
}
