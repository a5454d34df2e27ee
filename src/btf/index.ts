/**
 * "tsbpf/btf": what C's types are, as the kernel and compilers tell it. Reads files, so Node only.
 */
export { Btf, BtfError } from "./btf.js";
export { BtfBuilder } from "./builder.js";
export type { MemberOptions } from "./builder.js";
export { codecFromBtf } from "./codec_from_btf.js";
export { btfFromCodecs } from "./btf_of_codecs.js";
export type { MapBtf } from "./btf_of_codecs.js";
export { btfLoad } from "./load.js";
export { ElfError } from "../elf/sections.js";
export type {
  BtfArray,
  BtfComposite,
  BtfDatasec,
  BtfDeclTag,
  BtfEnum,
  BtfEnum64,
  BtfFloat,
  BtfFunc,
  BtfFuncProto,
  BtfFwd,
  BtfId,
  BtfInt,
  BtfKind,
  BtfMember,
  BtfReference,
  BtfType,
  BtfTypeTag,
  BtfVar,
  BtfVoid,
} from "./types.js";
