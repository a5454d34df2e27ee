/**
 * A function's signature by its BTF, as bpftool writes it: "int count(struct xdp_md * ctx)".
 */
import { type Btf, MAX_DEPTH } from "../btf/btf.js";
import type { BtfFuncProto, BtfId } from "../btf/types.js";

/** Of a FUNC; empty where it has a type that bpftool does not write. */
export function signatureOf(btf: Btf, id: BtfId): string {
  return textOf(btf, id, 0) ?? "";
}

function textOf(btf: Btf, id: BtfId, depth: number): string | undefined {
  if (id === 0) return "void ";
  if (depth > MAX_DEPTH) return undefined;
  const type = btf.type(id);
  const within = (of: BtfId, write: (text: string) => string): string | undefined => {
    const text = textOf(btf, of, depth + 1);
    return text === undefined ? undefined : write(text);
  };
  switch (type.kind) {
    case "INT":
    case "TYPEDEF":
    case "FLOAT":
      return `${type.name} `;
    case "STRUCT":
    case "UNION":
      return `${type.kind.toLowerCase()} ${type.name} `;
    case "ENUM":
    case "ENUM64":
      return `enum ${type.name} `;
    case "FWD":
      return `${type.fwdKind} ${type.name} `;
    case "ARRAY":
      return within(type.type, (text) => `${text}[${type.nrElems}]`);
    case "PTR":
      return within(type.type, (text) => `${text}* `);
    case "VOLATILE":
    case "CONST":
    case "RESTRICT":
      return within(type.type, (text) => `${type.kind.toLowerCase()} ${text}`);
    case "FUNC_PROTO":
      return protoText(btf, type, "", depth);
    case "FUNC": {
      const proto = btf.type(type.type);
      return proto.kind === "FUNC_PROTO" ? protoText(btf, proto, type.name, depth) : undefined;
    }
    default:
      return undefined;
  }
}

function protoText(btf: Btf, { retType, params }: BtfFuncProto, name: string, depth: number): string | undefined {
  const returned = textOf(btf, retType, depth + 1);
  const texts = params.map((param) => {
    if (param.type === 0) return "...";
    const text = textOf(btf, param.type, depth + 1);
    return param.name === "" ? text?.replace(/ $/, "") : text && text + param.name;
  });
  if (returned === undefined || texts.includes(undefined)) return undefined;
  return `${returned}${name}(${texts.join(", ")})`;
}
