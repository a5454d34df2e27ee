/**
 * map event_pipe MAP [cpu N index M]: what programs write to a perf_event_array. It takes perf events, which are no part of
 * bpf(2): the command is read as bpftool reads it, then refused.
 */
import { BPF_MAP_TYPE_PERF_EVENT_ARRAY } from "../uapi/bpf.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { takeMap } from "./map_handle.js";

/** map event_pipe */
export async function mapEventPipe(context: Context, args: Args): Promise<void> {
  const bpf = await context.open("read");
  const { info } = takeMap(context, bpf, args);
  if (info.type !== BPF_MAP_TYPE_PERF_EVENT_ARRAY) context.fail("map is not a perf event array");
  const given = new Set<string>();
  while (args.left > 0) {
    if (args.left < 2) throw new ArgsError(`what is '${args.next}'?`);
    const keyword = (["cpu", "index"] as const).find((word) => args.takeIf(word));
    if (keyword === undefined) throw new ArgsError(`what is '${args.next}'?`);
    args.takeU32(keyword === "cpu" ? "CPU ID" : "index");
    given.add(keyword);
  }
  if (given.size === 1) context.fail("cpu and index must be specified together");
  context.fail("event_pipe reads perf events, which tsbpf does not open: use bpftool map event_pipe");
}
