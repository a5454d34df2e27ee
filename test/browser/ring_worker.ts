/**
 * A web worker of the isolated page that writes to a ring buffer.
 */
import { EmbeddedKernel } from "../../dist/index.js";
import { type Writing, writeAll } from "./ringing.js";

addEventListener("message", (event: MessageEvent<Writing>) => void join(event.data), { once: true });

async function join(writing: Writing): Promise<void> {
  const kernel = await EmbeddedKernel.attach(writing.handle);
  const full = writeAll(kernel, writing);
  kernel[Symbol.dispose]();
  postMessage(full);
}
