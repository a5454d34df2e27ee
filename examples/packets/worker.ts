/**
 * A worker thread: takes chunks of packets until none is left, takes their headers apart and counts them in the maps.
 */
import { parentPort, workerData } from "node:worker_threads";
import { addOrRefuse, type Counter, openCounter } from "./counter.js";
import { type Job, type Message, takeChunk, type Tally, waitAtGate } from "./job.js";
import { PacketInfo, PacketKind, parsePacket } from "./packet.js";

function countPackets(job: Job, { maps, refused, publish }: Counter): Tally {
  const { bytes, index } = job.capture;
  const { offsets, captured, lengths, linkTypes } = index;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // One of each for all packets: the maps' codecs copy what they are given.
  const info = new PacketInfo();
  const delta = { packets: 1n, bytes: 0n };
  let ipPackets = 0;
  let ipBytes = 0;

  for (let chunk = takeChunk(job); chunk !== undefined; chunk = takeChunk(job)) {
    for (let row = chunk.from; row < chunk.to; row++) {
      parsePacket(view, offsets[row]!, captured[row]!, linkTypes[row]!, info);
      const { kind, flow } = info;
      const length = lengths[row]!;
      delta.bytes = BigInt(length);
      maps.protocols.add(kind, delta);
      if (kind !== PacketKind.other && kind !== PacketKind.arp) {
        addOrRefuse(maps.flows, flow, delta, refused.flows);
        addOrRefuse(maps.sources, flow.src, delta, refused.sources);
        ipPackets++;
        ipBytes += length;
      }
    }
    publish();
  }
  return { ipPackets, ipBytes, refused };
}

function say(message: Message): void {
  parentPort!.postMessage(message);
}

const job = workerData as Job;
using counter = await openCounter(job);
say("ready");
waitAtGate(job.words);
say(countPackets(job, counter));
