/**
 * Codecs: what a key or a value is.
 */
export { ipv4, ipv6, mac } from "./address.js";
export { array } from "./array.js";
export { bytes, cstring } from "./bytes.js";
export type { Codec, Lane, Of } from "./codec.js";
export { be, bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from "./number.js";
export { spinLock } from "./spin_lock.js";
export { struct } from "./struct.js";
export type { StructFields, StructOptions } from "./struct.js";
export { prefix4, prefix6 } from "./prefix.js";
export { timer } from "./timer.js";
