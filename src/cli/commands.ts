/**
 * The commands, as tables: a row each. An abbreviation means the first row that it fits, so their order is bpftool's.
 */
import { Args } from "./args.js";
import { batch } from "./batch.js";
import { btfDump } from "./btf_dump.js";
import { btfShow } from "./btf_show.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { btfHelp, btfUsage, genHelp, genUsage, help, mapHelp, mapUsage, progHelp, progUsage, usage } from "./help.js";
import { genTypes } from "./gen_types.js";
import { mapCreate } from "./map_create.js";
import { mapDump } from "./map_dump.js";
import { mapDelete, mapGetNext, mapLookup, mapPop, mapUpdate } from "./map_elem.js";
import { mapEventPipe } from "./map_event_pipe.js";
import { mapFreeze } from "./map_freeze.js";
import { mapPin, mapUnpin } from "./map_pin.js";
import { mapShow } from "./map_show.js";
import { mapTop } from "./map_top.js";
import { mapWatch } from "./map_watch.js";
import { progDump } from "./prog_dump.js";
import { progLoad, progLoadAll } from "./prog_load.js";
import { progPin } from "./prog_pin.js";
import { progRun } from "./prog_run.js";
import { progShow } from "./prog_show.js";
import { run } from "./run.js";
import { version } from "./version.js";

interface Command {
  readonly name: string;
  /** Not one of bpftool's: with --bpftool there is no such command. */
  readonly ours?: boolean;
  readonly run: (context: Context, args: Args, depth: number) => void | Promise<void>;
}

const MAP_COMMANDS: readonly Command[] = [
  { name: "show", run: mapShow },
  { name: "list", run: mapShow },
  { name: "help", run: mapHelp },
  { name: "dump", run: mapDump },
  { name: "update", run: mapUpdate },
  { name: "lookup", run: mapLookup },
  { name: "getnext", run: mapGetNext },
  { name: "delete", run: mapDelete },
  { name: "pin", run: mapPin },
  { name: "event_pipe", run: mapEventPipe },
  { name: "create", run: mapCreate },
  { name: "peek", run: mapLookup },
  { name: "push", run: mapUpdate },
  { name: "enqueue", run: mapUpdate },
  { name: "pop", run: mapPop },
  { name: "dequeue", run: mapPop },
  { name: "freeze", run: mapFreeze },
  { name: "unpin", run: mapUnpin, ours: true },
  { name: "top", run: mapTop, ours: true },
  { name: "watch", run: mapWatch, ours: true },
];

const PROG_COMMANDS: readonly Command[] = [
  { name: "show", run: progShow },
  { name: "list", run: progShow },
  { name: "help", run: progHelp },
  { name: "dump", run: progDump },
  { name: "pin", run: progPin },
  { name: "load", run: progLoad },
  { name: "loadall", run: progLoadAll },
  { name: "run", run: progRun },
];

const BTF_COMMANDS: readonly Command[] = [
  { name: "show", run: btfShow },
  { name: "list", run: btfShow },
  { name: "help", run: btfHelp },
  { name: "dump", run: btfDump },
];

const GEN_COMMANDS: readonly Command[] = [
  { name: "help", run: genHelp },
  { name: "types", run: genTypes },
];

const COMMANDS: readonly Command[] = [
  { name: "help", run: help },
  {
    name: "batch",
    run: (context, args, depth) =>
      batch(context, args, (inner, words) => runCommand(inner, words, depth + 1), depth + 1),
  },
  { name: "prog", run: (context, args, depth) => select(PROG_COMMANDS, progUsage, context, args, depth) },
  { name: "map", run: (context, args, depth) => select(MAP_COMMANDS, mapUsage, context, args, depth) },
  { name: "btf", run: (context, args, depth) => select(BTF_COMMANDS, btfUsage, context, args, depth) },
  { name: "version", run: version },
  { name: "run", run, ours: true },
  { name: "gen", run: (context, args, depth) => select(GEN_COMMANDS, genUsage, context, args, depth), ours: true },
];

/**
 * Runs one command.
 *
 * @param depth How many batches it stands in.
 * @throws {CommandFailure} when it failed and has said why
 */
export async function runCommand(context: Context, words: readonly string[], depth = 0): Promise<void> {
  try {
    await select(COMMANDS, usage, context, new Args(words, context.strict), depth);
  } catch (error) {
    if (error instanceof ArgsError) context.fail(error.message);
    throw error;
  } finally {
    context.closeFds();
  }
}

async function select(
  commands: readonly Command[],
  misused: (context: Context) => never,
  context: Context,
  args: Args,
  depth: number,
): Promise<void> {
  // Without a word, the first of them.
  const command =
    args.left === 0
      ? commands[0]
      : commands.find(({ name, ours }) => !(ours === true && !context.strict) && args.takeIf(name));
  if (command === undefined) return misused(context);
  await command.run(context, args, depth);
}
