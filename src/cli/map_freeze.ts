/**
 * map freeze MAP: no more writes by system call.
 */
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { takeMap } from "./map_handle.js";

/** map freeze MAP */
export async function mapFreeze(context: Context, args: Args): Promise<void> {
  args.need(2);
  const bpf = await context.open("change");
  const map = takeMap(context, bpf, args);
  if (args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  const result = bpf.mapFreeze(map.fd);
  if (result < 0) context.fail(`failed to freeze map: ${errnoMessage(-result)}`, result);
  context.out.done();
}
