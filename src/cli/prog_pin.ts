/**
 * prog pin PROG FILE: a name that keeps a program.
 */
import { EINVAL } from "../uapi/errno.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { pin } from "./map_pin.js";
import { takeProg } from "./prog_handle.js";

/** prog pin PROG FILE */
export async function progPin(context: Context, args: Args): Promise<void> {
  if (args.left < 3) {
    // bpftool's status here, where others have -1.
    const found = `'${args.previous}' needs at least 3 arguments, ${args.left} found`;
    context.fail(found, context.strict ? -1 : -EINVAL);
  }
  const bpf = await context.open("change");
  const fd = takeProg(context, bpf, args);
  const file = args.take();
  if (context.strict && args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  pin(context, bpf, fd, file);
  context.out.done();
}
