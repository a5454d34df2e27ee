/**
 * A worker of ending_writers.test.ts: says when it has attached, and writes until it is terminated.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { type EndingOrders, writeUntilTheEnd } from "./ending_writers.js";

const orders = workerData as EndingOrders;
const kernel = await EmbeddedKernel.attach(orders.handle);
parentPort!.postMessage("attached");
writeUntilTheEnd(kernel, orders);
