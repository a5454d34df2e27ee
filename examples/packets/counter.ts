/**
 * What a worker adds its packets to. This is the one place where the two kernels differ.
 *
 * The embedded kernel adds in one atomic step, and to a per-CPU value on the thread's own CPU: workers add to the shared
 * maps packet by packet, without waiting for each other.
 *
 * The Linux kernel has no system call that adds (only programs inside it can): to add is to read and to write back, and
 * what another thread writes in between would be lost. There, a worker counts a chunk of packets in an embedded kernel
 * of its own, then adds the sums to the shared maps while it holds a mutex. That also saves system calls: there are
 * fewer flows in a chunk than packets.
 */
import { BpfError, EmbeddedKernel, type HashMap } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { CHUNK_PACKETS, type Job, mutexOf, type Refused } from "./job.js";
import { type Count, PacketMaps } from "./maps.js";

/** A worker's way to the shared maps. */
export interface Counter {
  /** Takes packets: the shared maps themselves, or maps of the thread's own. */
  readonly maps: PacketMaps;
  readonly refused: Refused;
  /** Brings to the shared maps what they do not have yet; called after each chunk. */
  publish(): void;
  [Symbol.dispose](): void;
}

/** Opens the way of the job's kernel. */
export function openCounter(job: Job): Promise<Counter> {
  return job.kernel === "linux" ? openLinux(job) : openEmbedded(job, job.kernel);
}

/** Adds to a key's value, and to `refused` when the map is full. */
export function addOrRefuse<K>(map: HashMap<K, Count>, key: K, delta: Count, refused: Count): void {
  try {
    map.add(key, delta);
  } catch (error) {
    if (!(error instanceof BpfError && error.code === "E2BIG")) throw error;
    refused.packets += delta.packets;
    refused.bytes += delta.bytes;
  }
}

const none = (): Count => ({ packets: 0n, bytes: 0n });

async function openEmbedded({ mapIds }: Job, handle: Exclude<Job["kernel"], "linux">): Promise<Counter> {
  const kernel = await EmbeddedKernel.attach(handle);
  const maps = PacketMaps.fromIds(kernel, mapIds);
  return {
    maps,
    refused: { flows: none(), sources: none() },
    publish() {},
    [Symbol.dispose]() {
      maps[Symbol.dispose]();
      kernel[Symbol.dispose]();
    },
  };
}

async function openLinux(job: Job): Promise<Counter> {
  const kernel = LinuxKernel.open();
  const shared = PacketMaps.fromIds(kernel, job.mapIds);
  const ownKernel = await EmbeddedKernel.create({ possibleCpus: 1 });
  const own = PacketMaps.create(ownKernel, CHUNK_PACKETS);
  const refused = { flows: none(), sources: none() };
  const mutex = mutexOf(job);
  // System calls have no CPU of their own in a per-CPU value, they see all: the worker keeps to one slot.
  const cpu = job.worker % kernel.possibleCpus;

  return {
    maps: own,
    refused,
    publish() {
      mutex.run(() => {
        for (const [flow, delta] of own.flows) addOrRefuse(shared.flows, flow, delta, refused.flows);
        for (const [source, delta] of own.sources) addOrRefuse(shared.sources, source, delta, refused.sources);
        for (const [kind, slots] of own.protocols) {
          const delta = slots.sum();
          if (delta.packets > 0n) addToCpu(shared, kind, cpu, delta);
        }
      });
      own.flows.clear();
      own.sources.clear();
      for (const [kind, slots] of own.protocols) own.protocols.set(kind, slots.fill(none()));
    },
    [Symbol.dispose]() {
      own[Symbol.dispose]();
      ownKernel[Symbol.dispose]();
      shared[Symbol.dispose]();
      kernel[Symbol.dispose]();
    },
  };
}

function addToCpu({ protocols }: PacketMaps, kind: number, cpu: number, delta: Count): void {
  // An array has all its elems, a per-CPU value all its slots.
  const slots = protocols.get(kind)!;
  const slot = slots[cpu]!;
  slots[cpu] = { packets: slot.packets + delta.packets, bytes: slot.bytes + delta.bytes };
  protocols.set(kind, slots);
}
