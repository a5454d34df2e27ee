/**
 * A worker thread: takes chunks of packets until none is left, and has the program count them in the maps.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { Program } from "tsbpf/program";
import { type Job, type Message, takeChunk, type Tally, waitAtGate } from "./job.js";
import { PacketInfo, PacketKind, parsePacket } from "./packet.js";
import { Replay } from "./program.js";

function countPackets(job: Job, replay: Replay): Tally {
  const { bytes, index } = job.capture;
  const { offsets, captured, lengths, linkTypes } = index;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // One for all packets.
  const info = new PacketInfo();
  let ipPackets = 0;
  let ipBytes = 0;

  for (let chunk = takeChunk(job); chunk !== undefined; chunk = takeChunk(job)) {
    for (let row = chunk.from; row < chunk.to; row++) {
      const [offset, length, linkType] = [offsets[row]!, lengths[row]!, linkTypes[row]!];
      // What the maps are checked against: it says nothing to the program.
      parsePacket(view, offset, captured[row]!, linkType, info);
      if (info.kind !== PacketKind.other && info.kind !== PacketKind.arp) {
        ipPackets++;
        ipBytes += length;
      }
      replay.run(bytes.subarray(offset, offset + captured[row]!), length, linkType);
    }
  }
  return { ipPackets, ipBytes };
}

function say(message: Message): void {
  parentPort!.postMessage(message);
}

const job = workerData as Job;
using kernel = job.kernel === "linux" ? LinuxKernel.open() : await EmbeddedKernel.attach(job.kernel);
using program = Program.fromId(kernel, job.program);
say("ready");
waitAtGate(job.words);
say(countPackets(job, new Replay(program)));
