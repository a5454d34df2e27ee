/**
 * The texts of src/uapi's files: each function makes one, as what its header says and what comes below the header, from
 * the kernel's BTF (uapi_btf.mjs) and the C headers (uapi_header.mjs).
 */
import {
  ATTR_GROUPS,
  ENUMS,
  HEADER_ENUMERATORS,
  LAST_FIELDS,
  LEAKED_ERRNOS,
  NEWER_MACROS,
  STRUCTS,
} from "./uapi_tables.mjs";

const isFlag = (name) => /_F_|_FLAG|_MASK|_BIT$/.test(name);
const literal = (name, value) => (isFlag(name) && value > 0n ? `0x${value.toString(16)}` : `${value}`);
/** As its author wrote it where that is one hexadecimal number, and in that base where it is made of such. */
const macroLiteral = (name, body, value) => {
  if (/^0x[0-9a-f]+$/.test(body)) return body;
  return body.includes("0x") ? `0x${value.toString(16)}` : literal(name, value);
};
const constant = (name, text) => `export const ${name} = ${text};\n`;
const section = (title, lines) => `\n// ${title}\n${lines.join("")}`;
const camelCase = (name) => name.toLowerCase().replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

// --- bpf.ts

/** The enums, then what no enum has; `known` keeps one constant of a name, and the kernel's value before the header's. */
function renderConstants(btf, macros, values) {
  const known = new Map();
  const sections = [];

  for (const name of ENUMS) {
    const lines = btf.enum(name).flatMap((each) => {
      if (each.value > BigInt(Number.MAX_SAFE_INTEGER)) return [];
      known.set(each.name, literal(each.name, each.value));
      return [constant(each.name, known.get(each.name))];
    });
    sections.push(section(/^[a-z]/.test(name) ? `enum ${name}` : `enum { ${name}, ... }`, lines));
  }
  const left = HEADER_ENUMERATORS.map((name) => constant(name, `${values.get(name)}`));
  sections.push(section("Enumerators that BTF leaves out", left));

  for (const header of ["bpf_common.h", "bpf.h"]) {
    const lines = macros.flatMap(({ header: from, name, body }) => {
      if (from !== header || known.has(name)) return [];
      // What a macro only renames follows the kernel, which may be newer than the header.
      known.set(name, known.get(body) ?? macroLiteral(name, body, values.get(name)));
      return [constant(name, known.get(name))];
    });
    sections.push(section(`#define in <linux/${header}>`, lines));
  }

  const newer = NEWER_MACROS.filter(([name]) => !known.has(name));
  const lines = newer.map(([name, text, since]) => `/** Since Linux ${since}. */\n${constant(name, text)}`);
  sections.push(section("#define that older headers have not", lines));

  return [
    "The constants of <linux/bpf.h>, in kernel spelling. Valid as TypeScript and as AssemblyScript: kernel/ imports it.\n" +
      " * Values above 2^53 - 1 are left out, because a TypeScript number cannot hold them.",
    sections.join(""),
  ];
}

// --- errno.ts, errno_name.ts

function renderErrnos(errnos) {
  const lines = errnos.map(([name, value]) => constant(name, `${value}`));
  const leaked = LEAKED_ERRNOS.map(
    ([name, value, why]) => `/** Kernel-internal, and yet bpf(2) answers it: ${why}. */\n${constant(name, `${value}`)}`,
  );
  const what = "The errnos of Linux, positive. Valid as TypeScript and as AssemblyScript: kernel/ imports it.";
  return [what, `\n${lines.join("")}${leaked.join("")}`];
}

function renderErrnoNames(errnos, messages) {
  const rows = new Map();
  for (const [name, value] of errnos) {
    if (!rows.has(value)) rows.set(value, [name, messages[value]]);
  }
  for (const [name, value] of LEAKED_ERRNOS) rows.set(value, [name, `Unknown error ${value}`]);
  const lines = [...rows].map(([value, [name, message]]) => `  [${value}, ["${name}", "${message}"]],\n`);
  const body = `
const errnos: ReadonlyMap<number, readonly [name: string, message: string]> = new Map([
${lines.join("")}]);

/** Returns an errno's name: "E2BIG" of 7, "errno 999" of one that Linux has not. */
export function errnoName(errno: number): string {
  return errnos.get(errno)?.[0] ?? \`errno \${errno}\`;
}

/** Returns what glibc's strerror says: "Argument list too long" of 7, "Unknown error 524" of 524. */
export function errnoMessage(errno: number): string {
  if (errno === 0) return "${messages[0]}";
  return errnos.get(errno)?.[1] ?? \`Unknown error \${errno}\`;
}
`;
  return ["What errnos are called, and what glibc's strerror(3) says of them.", body];
}

// --- offsets.ts, layouts.ts

/** The groups of `union bpf_attr`, named. A field's path begins behind the group. */
function attrGroups(btf) {
  const named = new Map(Object.entries(ATTR_GROUPS));
  return btf.union("bpf_attr").map(({ name, fields }) => {
    const group = named.get(name === "" ? fields[0].name : name);
    if (group === undefined)
      throw new Error(`ATTR_GROUPS does not name a member of union bpf_attr: ${name} ${fields[0].name}`);
    return { group, fields };
  });
}

const offsetName = (prefix, path) => `${prefix}_${path.join("_").toUpperCase()}_OFF`;

function offsetLines(prefix, fields) {
  return fields.flatMap(({ path, off, shift, bits }) => {
    const name = offsetName(prefix, path);
    const line = constant(name, `${off}`);
    return bits === undefined ? [line] : [`/** Bits ${shift} to ${shift + bits - 1}. */\n${line}`];
  });
}

function renderOffsets(btf) {
  const groups = attrGroups(btf);
  const sections = [section("union bpf_attr", [constant("BPF_ATTR_SIZE", `${btf.struct("bpf_attr").size}`)])];
  for (const { group, fields } of groups) {
    sections.push(section(`union bpf_attr: ${group}`, offsetLines(`BPF_ATTR_${group}`, fields)));
  }
  const ends = Object.entries(LAST_FIELDS).map(([command, last]) => {
    const [group, ...path] = last.split(".");
    const field = groups
      .find((each) => each.group === group)
      ?.fields.find((each) => each.path.join(".") === path.join("."));
    if (field === undefined) throw new Error(`union bpf_attr has no ${last}, the last field of ${command}`);
    return constant(`BPF_ATTR_${command}_END`, `${field.off + field.size}`);
  });
  sections.push(
    section("Just past the last field that a command knows: bytes of attr from here on must be zero", ends),
  );
  for (const name of STRUCTS) {
    const { size, fields } = btf.struct(name);
    const prefix = name.toUpperCase();
    sections.push(section(`struct ${name}`, [constant(`${prefix}_SIZE`, `${size}`), ...offsetLines(prefix, fields)]));
  }
  return [
    "Where the fields of `union bpf_attr` and of the info structs lie, in bytes. Little endian on every platform here.\n" +
      " * Valid as TypeScript and as AssemblyScript: kernel/ imports it.",
    sections.join(""),
  ];
}

function fieldLines(fields, indent) {
  return fields.map(({ path, off, size, shift, bits }) => {
    const place = bits === undefined ? "" : `, shift: ${shift}, bits: ${bits}`;
    return `${indent}${path.join("_")}: { off: ${off}, size: ${size}${place} },\n`;
  });
}

function renderLayouts(btf) {
  const groups = attrGroups(btf).map(
    ({ group, fields }) => `  ${camelCase(group)}: {\n${fieldLines(fields, "    ").join("")}  },\n`,
  );
  const structs = STRUCTS.map(
    (name) => `
/** struct ${name}, ${btf.struct(name).size} bytes. */
export const ${camelCase(name)} = {
${fieldLines(btf.struct(name).fields, "  ").join("")}} as const;
`,
  );
  const body = `
/** Where a field lies: bytes from the start, size in bytes; a bit-field's lowest bit and width within them. */
export interface Field {
  readonly off: number;
  readonly size: number;
  readonly shift?: number;
  readonly bits?: number;
}

/** union bpf_attr, by the commands that share a layout. */
export const bpfAttr = {
${groups.join("")}} as const;
${structs.join("")}`;
  return ["The layouts of offsets.ts as objects, with sizes: for code that walks over fields.", body];
}

// --- names.ts

function renderNames(btf) {
  /** Names by value; of two for the same value the one that is not deprecated, else the first. */
  const byValue = (name, prefix) => {
    const names = new Map();
    for (const each of btf.enum(name)) {
      if (each.name.startsWith(prefix) && !each.name.endsWith("_DEPRECATED") && !names.has(each.value)) {
        names.set(each.value, each.name);
      }
    }
    return [...names.values()].map((found, index) => {
      if (!names.has(BigInt(index))) throw new Error(`enum ${name} has a hole at ${index}`);
      return found;
    });
  };
  const list = (names) => names.map((name) => `  "${name}",\n`).join("");
  const short = (name, prefix) => byValue(name, prefix).map((each) => each.slice(prefix.length).toLowerCase());
  const body = `
const mapTypes: readonly string[] = [
${list(short("bpf_map_type", "BPF_MAP_TYPE_"))}];

const progTypes: readonly string[] = [
${list(short("bpf_prog_type", "BPF_PROG_TYPE_"))}];

const cmds: readonly string[] = [
${list(byValue("bpf_cmd", "BPF_"))}];

function indexOf(names: readonly string[], name: string): number | undefined {
  const index = names.indexOf(name);
  return index === -1 ? undefined : index;
}

/** Returns bpftool's word for a map type, "lru_hash" of BPF_MAP_TYPE_LRU_HASH; undefined of an unknown one. */
export function mapTypeName(type: number): string | undefined {
  return mapTypes[type];
}

/** Returns the BPF_MAP_TYPE_* that bpftool calls \`name\`; undefined when it calls none so. */
export function mapTypeFromName(name: string): number | undefined {
  return indexOf(mapTypes, name);
}

/** Returns bpftool's word for a program type, "xdp" of BPF_PROG_TYPE_XDP; undefined of an unknown one. */
export function progTypeName(type: number): string | undefined {
  return progTypes[type];
}

/** Returns the BPF_PROG_TYPE_* that bpftool calls \`name\`; undefined when it calls none so. */
export function progTypeFromName(name: string): number | undefined {
  return indexOf(progTypes, name);
}

/** Returns a command's name: "BPF_MAP_CREATE" of 0, "cmd 99" of one that Linux has not. */
export function cmdName(cmd: number): string {
  return cmds[cmd] ?? \`cmd \${cmd}\`;
}
`;
  return [
    "What users call map types and program types (bpftool's words), and what the kernel calls its commands.",
    body,
  ];
}

function renderIndex() {
  const modules = ["bpf", "errno", "errno_name", "layouts", "names", "offsets"];
  const lines = modules.map((name) => `export * from "./${name}.js";\n`);
  return ["bpf.h for TypeScript: the entry point of tsbpf/uapi.", `\n${lines.join("")}`];
}

// --- all of them

/**
 * @param {ReturnType<import("./uapi_btf.mjs").readBtf>} btf
 * @param {{ header: string, name: string, body: string }[]} macros Of <linux/bpf.h>, <linux/bpf_common.h>, <asm/errno.h>.
 * @param {Map<string, bigint>} values Of the macros and HEADER_ENUMERATORS.
 * @param {string[]} messages strerror's texts, by errno.
 * @returns {Record<string, [what: string, body: string]>} by file name.
 */
export function render(btf, macros, values, messages) {
  const errnos = macros
    .filter(({ header }) => header.startsWith("errno"))
    .map(({ name }) => [name, Number(values.get(name))]);
  return {
    "bpf.ts": renderConstants(btf, macros, values),
    "errno.ts": renderErrnos(errnos),
    "errno_name.ts": renderErrnoNames(errnos, messages),
    "index.ts": renderIndex(),
    "layouts.ts": renderLayouts(btf),
    "names.ts": renderNames(btf),
    "offsets.ts": renderOffsets(btf),
  };
}
