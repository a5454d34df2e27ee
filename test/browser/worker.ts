/**
 * A web worker of the isolated page: attaches, says that it is ready, and works with the others when it is told to.
 */
import { EmbeddedKernel } from "../../dist/index.js";
import { type Orders, closeMaps, openMaps, work } from "./sharing.js";

addEventListener("message", (event: MessageEvent<Orders>) => void join(event.data), { once: true });

async function join(orders: Orders): Promise<void> {
  const kernel = await EmbeddedKernel.attach(orders.handle);
  const maps = openMaps(kernel, orders.ids);
  addEventListener(
    "message",
    () => {
      const done = work(kernel, maps, orders);
      closeMaps(maps);
      kernel[Symbol.dispose]();
      postMessage(done);
    },
    { once: true },
  );
  postMessage("ready");
}
