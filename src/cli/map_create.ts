/**
 * map create FILE type TYPE key SIZE value SIZE entries N name NAME [flags FLAGS] [inner_map MAP] [dev NAME]
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { BPF_OBJ_NAME_LEN } from "../uapi/bpf.js";
import { ENODEV } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import { mapTypeFromName } from "../uapi/names.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { takeMap } from "./map_handle.js";
import { pin } from "./map_pin.js";
import type { Syscalls } from "./syscalls.js";

/** The numbers among the parameters: their keyword, and what errors call them. */
const NUMBERS = [
  ["key", "key size"],
  ["value", "value size"],
  ["entries", "max entries"],
  ["flags", "flags"],
] as const;

/** What was said so far. A number that was not given is 0. */
interface Given {
  type?: number;
  name?: string;
  key?: number;
  value?: number;
  entries?: number;
  flags?: number;
  ifindex?: number;
  innerMapFd?: number;
}

/** map create */
export async function mapCreate(context: Context, args: Args): Promise<void> {
  args.need(7);
  const file = args.take();
  const bpf = await context.open("change");
  const given: Given = {};
  while (args.left > 0) takeParameter(context, bpf, args, given);
  if (given.name === undefined) return context.fail("map name not specified");

  const name = new TextEncoder().encode(given.name);
  if (context.strict && name.length >= BPF_OBJ_NAME_LEN) {
    context.fail(`map name '${given.name}' is too long: names have at most 15 bytes`);
  }
  const fd = bpf.mapCreate({
    type: given.type ?? 0,
    keySize: given.key ?? 0,
    valueSize: given.value ?? 0,
    maxEntries: given.entries ?? 0,
    mapFlags: given.flags ?? 0,
    name: name.subarray(0, BPF_OBJ_NAME_LEN - 1),
    innerMapFd: given.innerMapFd ?? 0,
    ifindex: given.ifindex ?? 0,
  });
  if (fd < 0) context.fail(`map create failed: ${errnoMessage(-fd)}`);
  pin(context, bpf, fd, file);
  context.out.done();
}

function takeParameter(context: Context, bpf: Syscalls, args: Args, given: Given): void {
  args.need(2);
  if (args.takeIf("type")) {
    refuseSecond(args, "map type", given.type);
    const word = args.take();
    const type = mapTypeFromName(word);
    if (type === undefined) throw new ArgsError(`unrecognized map type: ${word}`);
    given.type = type;
    return;
  }
  if (args.takeIf("name")) {
    if (args.strict && given.name !== undefined) throw new ArgsError("name already specified");
    given.name = args.take();
    return;
  }
  for (const [keyword, what] of NUMBERS) {
    if (!args.takeIf(keyword)) continue;
    refuseSecond(args, what, given[keyword]);
    given[keyword] = args.takeU32(what);
    return;
  }
  if (args.takeIf("dev")) {
    given.ifindex = takeDevice(bpf, args);
  } else if (args.takeIf("inner_map")) {
    given.innerMapFd = takeMap(context, bpf, args).fd;
  } else {
    throw new ArgsError(`unknown arg ${args.next}`);
  }
}

/** bpftool takes a parameter twice when it was 0 at first. */
function refuseSecond(args: Args, what: string, value: number | undefined): void {
  if (args.strict ? value !== undefined : (value ?? 0) !== 0) throw new ArgsError(`${what} already specified`);
}

/** Reads the name of a network device as its index. */
function takeDevice(bpf: Syscalls, args: Args): number {
  const name = args.take();
  if (bpf.kernel.name !== "linux") throw new ArgsError("the embedded kernel has no network devices");
  try {
    return Number(readFileSync(`/sys/class/net/${basename(name)}/ifindex`, "utf8"));
  } catch {
    throw new ArgsError(`unrecognized netdevice '${name}': ${errnoMessage(ENODEV)}`);
  }
}
