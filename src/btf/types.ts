/**
 * Types of BTF, decoded: a shape for each BTF_KIND_*, in the words of <linux/btf.h> and of bpftool.
 */

/** What types name types by. 0 is void. */
export type BtfId = number;

/** BTF_KIND_INT. */
export interface BtfInt {
  readonly kind: "INT";
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly encoding: "none" | "SIGNED" | "CHAR" | "BOOL" | number;
  readonly bitsOffset: number;
  readonly nrBits: number;
}

/** Kinds that are another type under a name, or with a word more. */
export interface BtfReference {
  readonly kind: "PTR" | "TYPEDEF" | "VOLATILE" | "CONST" | "RESTRICT";
  readonly name: string;
  readonly type: BtfId;
}

/** BTF_KIND_TYPE_TAG. */
export interface BtfTypeTag {
  readonly kind: "TYPE_TAG";
  readonly name: string;
  readonly type: BtfId;
  /** The tag is an attribute as it stands, rather than a btf_type_tag. Since Linux 6.15. */
  readonly kindFlag: boolean;
}

/** BTF_KIND_ARRAY. */
export interface BtfArray {
  readonly kind: "ARRAY";
  readonly name: string;
  readonly type: BtfId;
  readonly indexType: BtfId;
  /** 0 of a flexible array. */
  readonly nrElems: number;
}

/** A member of a struct or union. */
export interface BtfMember {
  readonly name: string;
  readonly type: BtfId;
  /** In bits from the begin. */
  readonly bitsOffset: number;
  /** In bits; 0 of what is no bit-field. */
  readonly bitfieldSize: number;
}

/** BTF_KIND_STRUCT, BTF_KIND_UNION. */
export interface BtfComposite {
  readonly kind: "STRUCT" | "UNION";
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly members: readonly BtfMember[];
  /** Members say their bitfieldSize. */
  readonly kindFlag: boolean;
}

/** BTF_KIND_ENUM. */
export interface BtfEnum {
  readonly kind: "ENUM";
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly val: number }[];
}

/** BTF_KIND_ENUM64. */
export interface BtfEnum64 {
  readonly kind: "ENUM64";
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly val: bigint }[];
}

/** BTF_KIND_FWD. */
export interface BtfFwd {
  readonly kind: "FWD";
  readonly name: string;
  readonly fwdKind: "struct" | "union";
}

/** BTF_KIND_FUNC. */
export interface BtfFunc {
  readonly kind: "FUNC";
  readonly name: string;
  /** A FUNC_PROTO. */
  readonly type: BtfId;
  /** 0 static, 1 global, 2 extern. */
  readonly linkage: number;
}

/** BTF_KIND_FUNC_PROTO. */
export interface BtfFuncProto {
  readonly kind: "FUNC_PROTO";
  readonly name: string;
  readonly retType: BtfId;
  /** A last one without name and of type 0 stands for "...". */
  readonly params: readonly { readonly name: string; readonly type: BtfId }[];
}

/** BTF_KIND_VAR. */
export interface BtfVar {
  readonly kind: "VAR";
  readonly name: string;
  readonly type: BtfId;
  /** 0 static, 1 global, 2 extern. */
  readonly linkage: number;
}

/** BTF_KIND_DATASEC. */
export interface BtfDatasec {
  readonly kind: "DATASEC";
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly vars: readonly { readonly type: BtfId; readonly offset: number; readonly size: number }[];
}

/** BTF_KIND_FLOAT. */
export interface BtfFloat {
  readonly kind: "FLOAT";
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/** BTF_KIND_DECL_TAG. */
export interface BtfDeclTag {
  readonly kind: "DECL_TAG";
  readonly name: string;
  readonly type: BtfId;
  /** The member or parameter that is tagged; -1: the type itself. */
  readonly componentIdx: number;
  /** The tag is an attribute as it stands, rather than a btf_decl_tag. Since Linux 6.15. */
  readonly kindFlag: boolean;
}

/** Type 0. */
export interface BtfVoid {
  readonly kind: "VOID";
  readonly name: "";
}

/** Any type that BTF tells of. */
export type BtfType =
  | BtfInt
  | BtfReference
  | BtfTypeTag
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfEnum64
  | BtfFwd
  | BtfFunc
  | BtfFuncProto
  | BtfVar
  | BtfDatasec
  | BtfFloat
  | BtfDeclTag;

export type BtfKind = BtfType["kind"];

/** Names of BTF_KIND_*, by number; 0 is void, which no type says it is. */
export const BTF_KINDS: readonly [undefined, ...BtfKind[]] = [
  undefined,
  "INT",
  "PTR",
  "ARRAY",
  "STRUCT",
  "UNION",
  "ENUM",
  "FWD",
  "TYPEDEF",
  "VOLATILE",
  "CONST",
  "RESTRICT",
  "FUNC",
  "FUNC_PROTO",
  "VAR",
  "DATASEC",
  "FLOAT",
  "DECL_TAG",
  "TYPE_TAG",
  "ENUM64",
];

/** BTF_INT_*, by their number. */
export const INT_ENCODINGS: Readonly<Record<number, "none" | "SIGNED" | "CHAR" | "BOOL">> = {
  0: "none",
  1: "SIGNED",
  2: "CHAR",
  4: "BOOL",
};

export const BTF_MAGIC = 0xeb9f;
export const BTF_HEADER_SIZE = 24;

/** Bytes of what follows the 12 of a type: once, and for each of its vlen. By kind's number. */
export const TAIL_ONCE: readonly number[] = [0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0];
export const TAIL_EACH: readonly number[] = [0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12];
