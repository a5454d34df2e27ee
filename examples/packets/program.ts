/**
 * The program that counts, packets.c, in a kernel: loaded once, with the maps of maps.ts, and run by every worker.
 *
 * Both kernels take the same object, and its maps are read in the same way.
 */
import { readFileSync } from "node:fs";
import type { Kernel } from "tsbpf";
import { BpfObject, type Program } from "tsbpf/program";
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  LINKTYPE_ETHERNET,
  LINKTYPE_IPV4,
  LINKTYPE_IPV6,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_LINUX_SLL2,
  LINKTYPE_LOOP,
  LINKTYPE_NULL,
  LINKTYPE_RAW,
} from "./link_types.js";
import type { PacketMaps } from "./maps.js";

/** The object lies beside the sources, not beside the compiled program. */
const object = new URL("examples/packets/packets.o", import.meta.resolve("tsbpf/package.json"));

/** Loads the object into a kernel: programs that count in these maps. Close it when they are not needed any more. */
export function loadObject(kernel: Kernel, { flows, protocols, sources, refused }: PacketMaps): BpfObject {
  const reuse = { flows: flows.fd, protocols: protocols.fd, sources: sources.fd, refused: refused.fd };
  return BpfObject.open(readFileSync(object), { name: "packets" }).load(kernel, { reuse });
}

/** Of an Ethernet header; and of a frame, which the kernels want to be as long at least. */
const HEADER_BYTES = 14;
/** What stands before a frame for the program `replay`: its length on the wire. */
const LENGTH_BYTES = 4;
/** Headers end before; and Linux takes no longer packets in one piece. */
const MOST_BYTES = 2048;

/** Runs the program `replay` on packets of a capture, which it turns into Ethernet frames. */
export class Replay {
  readonly #program: Program;
  readonly #frame = new Uint8Array(LENGTH_BYTES + HEADER_BYTES + MOST_BYTES);
  readonly #view = new DataView(this.#frame.buffer);

  constructor(program: Program) {
    this.#program = program;
  }

  /**
   * Has a packet counted.
   *
   * @param bytes What was captured of it.
   * @param length On the wire, in bytes.
   */
  run(bytes: Uint8Array, length: number, linkType: number): void {
    this.#view.setUint32(0, length, true);
    const end = this.#fill(bytes.subarray(0, MOST_BYTES), linkType);
    this.#program.run({ data: this.#frame.subarray(0, Math.max(end, HEADER_BYTES)), dataOutSize: 0 });
  }

  /** Writes the frame. @returns Where it ends. */
  #fill(bytes: Uint8Array, linkType: number): number {
    if (linkType === LINKTYPE_ETHERNET) {
      this.#frame.set(bytes, LENGTH_BYTES);
      return LENGTH_BYTES + bytes.length;
    }
    const [type, off] = networkOf(bytes, linkType);
    this.#frame.fill(0, LENGTH_BYTES, LENGTH_BYTES + HEADER_BYTES);
    this.#view.setUint16(LENGTH_BYTES + HEADER_BYTES - 2, type);
    this.#frame.set(bytes.subarray(off), LENGTH_BYTES + HEADER_BYTES);
    return LENGTH_BYTES + HEADER_BYTES + Math.max(bytes.length - off, 0);
  }
}

/** The EtherType of what is behind the link layer's header, or 0, and where that begins. */
function networkOf(bytes: Uint8Array, linkType: number): [type: number, off: number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (linkType) {
    case LINKTYPE_LINUX_SLL:
      return bytes.length < 16 ? [0, 0] : [view.getUint16(14), 16];
    case LINKTYPE_LINUX_SLL2:
      return bytes.length < 20 ? [0, 0] : [view.getUint16(0), 20];
    case LINKTYPE_NULL:
    case LINKTYPE_LOOP:
      // An address family in the byte order of whoever captured it, and of another value on each BSD.
      return [typeOfVersion(bytes[4]), 4];
    case LINKTYPE_RAW:
    case LINKTYPE_IPV4:
    case LINKTYPE_IPV6:
      return [typeOfVersion(bytes[0]), 0];
    default:
      return [0, 0];
  }
}

function typeOfVersion(byte = 0): number {
  const version = byte >> 4;
  return version === 4 ? ETHERTYPE_IPV4 : version === 6 ? ETHERTYPE_IPV6 : 0;
}
