/**
 * A worker of terminating.test.ts: says when it has attached, and works until it is told to stop, or until its end.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { type Orders, goOn, goOnUntilTheEnd } from "./terminating.js";

const orders = workerData as Orders;
const kernel = await EmbeddedKernel.attach(orders.handle);
parentPort!.postMessage("attached");
if (orders.control === undefined) goOnUntilTheEnd(kernel, orders);
goOn(kernel, orders);
kernel[Symbol.dispose]();
