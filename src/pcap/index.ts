/**
 * "tsbpf/pcap": captures of packets, pcap and pcapng. Reads bytes; where they come from is the caller's.
 */
export { type CaptureBreak, type CaptureIndex, breakText } from "./capture_index.js";
export { type CapturedPacket, indexCapture, packets } from "./pcap.js";
