/**
 * Holds every number of src/uapi against the witnesses of _uapi_witnesses.ts, and the files against their generator.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as uapi from "tsbpf/uapi";
import { askKernel, Btf, errnosInC, evaluateInC, lack, need, type Place } from "./_uapi_witnesses.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const numbers = new Map(
  Object.entries<unknown>(uapi).filter((entry): entry is [string, number] => typeof entry[1] === "number"),
);
const number = (name: string): number => {
  const value = numbers.get(name);
  if (value === undefined) throw new Error(`tsbpf/uapi exports no number ${name}`);
  return value;
};

let loaded: Btf | undefined;
const btf = (): Btf => (loaded ??= new Btf());

// --- the layouts under test

/** The members of `union bpf_attr`, in its order. */
const groups = (
  "MAP_CREATE MAP_ELEM BATCH PROG_LOAD OBJ PROG_ATTACH TEST GET_ID INFO QUERY RAW_TRACEPOINT BTF_LOAD TASK_FD_QUERY LINK_CREATE " +
  "LINK_UPDATE LINK_DETACH ENABLE_STATS ITER_CREATE PROG_BIND_MAP TOKEN_CREATE PROG_STREAM_READ"
).split(" ");

/** A group of bpfAttr, by its name in offsets.ts. */
function layoutOf(group: string): Readonly<Record<string, uapi.Field>> {
  const name = group.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  const layout = (uapi.bpfAttr as Readonly<Record<string, Readonly<Record<string, uapi.Field>>>>)[name];
  if (layout === undefined) throw new Error(`bpfAttr has no ${name}`);
  return layout;
}

/** All layouts of the kernel: what src/uapi calls them, C's type, the path in C before a field's own, and the fields. */
function layouts(): { prefix: string; layout: unknown; type: string; outer: string; places: Place[] }[] {
  const members = btf().named("bpf_attr").members ?? [];
  const attr = groups.map((group, index) => {
    const member = members[index];
    if (member === undefined) throw new Error(`union bpf_attr has no member ${index} for ${group}`);
    const outer = member.name === "(anon)" ? "" : `${member.name}.`;
    const layout = layoutOf(group);
    const places = btf().places(btf().at(member.type_id));
    return { prefix: `BPF_ATTR_${group}`, layout, type: "union bpf_attr", outer, places };
  });
  const structs = {
    bpf_insn: uapi.bpfInsn,
    bpf_map_info: uapi.bpfMapInfo,
    bpf_prog_info: uapi.bpfProgInfo,
    bpf_btf_info: uapi.bpfBtfInfo,
  };
  const rest = Object.entries(structs).map(([name, layout]) => {
    return {
      prefix: name.toUpperCase(),
      layout,
      type: `struct ${name}`,
      outer: "",
      places: btf().places(btf().named(name)),
    };
  });
  return [...attr, ...rest];
}
const offName = (prefix: string, place: Place): string => `${prefix}_${place.path.join("_").toUpperCase()}_OFF`;

/** An attr with 32-bit values at the fields of a group. */
function attrOf(group: string, fields: Readonly<Record<string, number>>): Buffer {
  const attr = Buffer.alloc(uapi.BPF_ATTR_SIZE);
  for (const [field, value] of Object.entries(fields)) {
    attr.writeUInt32LE(value >>> 0, number(`BPF_ATTR_${group}_${field}_OFF`));
  }
  return attr;
}

/**
 * For each *_END an attr that its commands answer with something else than EINVAL. The last field named is the last that
 * they know, and it is not zero where they take a value there.
 */
const ends: readonly [end: string, cmds: string, group: string, fields: Readonly<Record<string, number>>][] = [
  [
    "MAP_CREATE",
    "MAP_CREATE",
    "MAP_CREATE",
    { MAP_TYPE: 2, KEY_SIZE: 4, VALUE_SIZE: 4, MAX_ENTRIES: 1, EXCL_PROG_HASH: 1, EXCL_PROG_HASH_SIZE: 32 },
  ],
  ["MAP_LOOKUP_ELEM", "MAP_LOOKUP_ELEM", "MAP_ELEM", { MAP_FD: -1, FLAGS: uapi.BPF_F_LOCK }],
  ["MAP_UPDATE_ELEM", "MAP_UPDATE_ELEM", "MAP_ELEM", { MAP_FD: -1, FLAGS: 1 }],
  ["MAP_DELETE_ELEM", "MAP_DELETE_ELEM", "MAP_ELEM", { MAP_FD: -1, KEY: 1 }],
  ["MAP_GET_NEXT_KEY", "MAP_GET_NEXT_KEY", "MAP_ELEM", { MAP_FD: -1, NEXT_KEY: 1 }],
  ["MAP_LOOKUP_AND_DELETE_ELEM", "MAP_LOOKUP_AND_DELETE_ELEM", "MAP_ELEM", { MAP_FD: -1, FLAGS: uapi.BPF_F_LOCK }],
  ["MAP_FREEZE", "MAP_FREEZE", "MAP_ELEM", { MAP_FD: -1 }],
  [
    "MAP_BATCH",
    "MAP_LOOKUP_BATCH MAP_LOOKUP_AND_DELETE_BATCH MAP_UPDATE_BATCH MAP_DELETE_BATCH",
    "BATCH",
    { MAP_FD: -1, FLAGS: 1 },
  ],
  ["OBJ", "OBJ_GET", "OBJ", { FILE_FLAGS: uapi.BPF_F_PATH_FD, PATH_FD: -1 }],
  ["PROG_ATTACH", "PROG_ATTACH PROG_DETACH", "PROG_ATTACH", { TARGET_FD: -1, ATTACH_BPF_FD: -1, EXPECTED_REVISION: 1 }],
  ["PROG_TEST_RUN", "PROG_TEST_RUN", "TEST", { PROG_FD: -1, BATCH_SIZE: 1 }],
  [
    "GET_NEXT_ID",
    "PROG_GET_NEXT_ID MAP_GET_NEXT_ID BTF_GET_NEXT_ID LINK_GET_NEXT_ID",
    "GET_ID",
    { START_ID: 0x7ffffffe, NEXT_ID: 1 },
  ],
  ["PROG_GET_FD_BY_ID", "PROG_GET_FD_BY_ID", "GET_ID", { PROG_ID: -1 }],
  ["MAP_GET_FD_BY_ID", "MAP_GET_FD_BY_ID", "GET_ID", { MAP_ID: -1, OPEN_FLAGS: uapi.BPF_F_RDONLY }],
  ["BTF_GET_FD_BY_ID", "BTF_GET_FD_BY_ID", "GET_ID", { BTF_ID: -1, FD_BY_ID_TOKEN_FD: 1 }],
  ["LINK_GET_FD_BY_ID", "LINK_GET_FD_BY_ID", "GET_ID", { LINK_ID: -1 }],
  ["OBJ_GET_INFO_BY_FD", "OBJ_GET_INFO_BY_FD", "INFO", { BPF_FD: -1, INFO: 1 }],
  ["PROG_QUERY", "PROG_QUERY", "QUERY", { TARGET_FD: -1, REVISION: 1 }],
  ["RAW_TRACEPOINT_OPEN", "RAW_TRACEPOINT_OPEN", "RAW_TRACEPOINT", { PROG_FD: -1, COOKIE: 1 }],
  ["BTF_LOAD", "BTF_LOAD", "BTF_LOAD", { BTF_FLAGS: uapi.BPF_F_TOKEN_FD, BTF_TOKEN_FD: -1 }],
  ["TASK_FD_QUERY", "TASK_FD_QUERY", "TASK_FD_QUERY", { PID: 0x7fffffff, PROBE_ADDR: 1 }],
  ["LINK_CREATE", "LINK_CREATE", "LINK_CREATE", { PROG_FD: -1, UPROBE_MULTI_PID: 1 }],
  ["LINK_UPDATE", "LINK_UPDATE", "LINK_UPDATE", { LINK_FD: -1, FLAGS: uapi.BPF_F_REPLACE, OLD_PROG_FD: 1 }],
  ["LINK_DETACH", "LINK_DETACH", "LINK_DETACH", { LINK_FD: -1 }],
  ["ENABLE_STATS", "ENABLE_STATS", "ENABLE_STATS", { TYPE: uapi.BPF_STATS_RUN_TIME }],
  ["ITER_CREATE", "ITER_CREATE", "ITER_CREATE", { LINK_FD: -1, FLAGS: 0 }],
  ["PROG_BIND_MAP", "PROG_BIND_MAP", "PROG_BIND_MAP", { PROG_FD: -1, FLAGS: 0 }],
  ["TOKEN_CREATE", "TOKEN_CREATE", "TOKEN_CREATE", { BPFFS_FD: -1 }],
  ["PROG_STREAM_READ_BY_FD", "PROG_STREAM_READ_BY_FD", "PROG_STREAM_READ", { PROG_FD: -1 }],
];

/** #define that the headers of Debian 12 (Linux 6.1) have not and BTF never has: copied from newer headers by hand. */
const macrosSince6_1: Readonly<Record<string, number>> = {
  BPF_MEMSX: 0x80,
  BPF_JCOND: 0xe0,
  BPF_LOAD_ACQ: 0x100,
  BPF_STORE_REL: 0x110,
  BPF_F_BEFORE: 1 << 3,
  BPF_F_AFTER: 1 << 4,
  BPF_F_ID: 1 << 5,
  BPF_F_PREORDER: 1 << 6,
  BPF_F_XDP_DEV_BOUND_ONLY: 1 << 6,
  BPF_F_TEST_REG_INVARIANTS: 1 << 7,
  BPF_F_NETFILTER_IP_DEFRAG: 1 << 0,
};

describe("the running kernel's BTF", () => {
  it("has every enumerator at our value, and we have all of its enums", (context) => {
    need(context, lack.kernel, lack.btf, lack.bpftool);
    const kernel = btf().enumerators();
    const ours = kernel.filter(({ name }) => numbers.has(name));
    expect(ours.filter(({ name, value }) => numbers.get(name) !== value)).toEqual([]);
    const whole = new Set(ours.filter((each) => each.enum !== "(anon)").map((each) => each.enum));
    const wanted = ["bpf_cmd", "bpf_map_type", "bpf_prog_type", "bpf_attach_type", "bpf_func_id"];
    expect(wanted.filter((name) => !whole.has(name))).toEqual([]);
    expect(kernel.filter((each) => whole.has(each.enum) && !numbers.has(each.name))).toEqual([]);
    const flags = btf().types.filter(({ values }) =>
      values?.some(({ name }) => name === "BPF_ANY" || name === "BPF_F_NO_PREALLOC"),
    );
    expect(flags.flatMap(({ values = [] }) => values.filter(({ name }) => !numbers.has(name)))).toEqual([]);
  });

  it("has every field at our offset and size, and no field that we lack", (context) => {
    need(context, lack.kernel, lack.btf, lack.bpftool);
    expect(uapi.BPF_ATTR_SIZE).toBe(btf().named("bpf_attr").size);
    expect(groups.length).toBe(btf().named("bpf_attr").members?.length);
    const offsets = new Set<string>();
    for (const { prefix, layout, type, places } of layouts()) {
      if (type !== "union bpf_attr") {
        expect([prefix, number(`${prefix}_SIZE`)]).toEqual([prefix, btf().named(type.slice(7)).size]);
      }
      const fields = places.map(({ path, ...place }) => [path.join("_"), place]);
      expect([prefix, layout]).toEqual([prefix, Object.fromEntries(fields)]);
      for (const place of places) {
        const name = offName(prefix, place);
        expect([name, number(name)]).toEqual([name, place.off]);
        offsets.add(name);
      }
    }
    const strangers = [...numbers.keys()].filter((name) => name.endsWith("_OFF") && !offsets.has(name));
    expect(strangers).toEqual([]);
  });
});

describe("C compiled from <linux/bpf.h>", () => {
  it("has our values, and no number is without a witness", (context) => {
    need(context, lack.kernel, lack.btf, lack.bpftool, lack.compiler);
    const expressions = new Map([...numbers.keys()].map((name) => [name, name]));
    for (const { prefix, type, outer, places } of layouts()) {
      for (const place of places) {
        expressions.set(offName(prefix, place), `offsetof(${type}, ${outer}${place.path.join(".")})`);
      }
    }
    const found = evaluateInC(expressions);
    expect(found.size).toBeGreaterThan(900);
    // A count of enumerators grows with the kernel, which may be newer than the header.
    const hasGrown = (name: string, value: number): boolean => /MAX/.test(name) && number(name) > value;
    expect([...found].filter(([name, value]) => number(name) !== value && !hasGrown(name, value))).toEqual([]);

    const enumerators = btf().enumerators();
    const witnessed = new Set([...found.keys(), ...enumerators.map(({ name }) => name)]);
    const proven = /^BPF_ATTR_.*_END$|^ENOTSUPP$|^BPF_(ATTR|INSN|\w+_INFO)_(\w+_OFF|SIZE)$/;
    const alone = [...numbers].filter(([name]) => !witnessed.has(name) && !proven.test(name));
    expect(alone.filter(([name, value]) => macrosSince6_1[name] !== value)).toEqual([]);
  });

  it("calls errnos what errnoName and errnoMessage call them", (context) => {
    need(context, lack.kernel, lack.compiler);
    for (const [errno, { name, message }] of errnosInC(530).entries()) {
      const wanted = errno === uapi.ENOTSUPP ? "ENOTSUPP" : errno === 0 || name === "" ? `errno ${errno}` : name;
      expect([errno, uapi.errnoName(errno), uapi.errnoMessage(errno)]).toEqual([errno, wanted, message]);
    }
  });
});

describe("the running kernel", () => {
  it("refuses the first byte behind each END, and takes all before it", (context) => {
    need(context, lack.kernel ?? lack.compiler ?? lack.right);
    const probes = ends.flatMap(([end, cmds, group, fields]) =>
      cmds.split(" ").map((cmd) => ({ end, cmd, attr: attrOf(group, fields) })),
    );
    const calls = probes.flatMap(({ end, cmd, attr }) => {
      const beyond = Buffer.from(attr);
      beyond[number(`BPF_ATTR_${end}_END`)] = 1;
      return [attr, beyond].map((bytes) => ({ cmd: number(`BPF_${cmd}`), attr: bytes }));
    });
    const answers = askKernel(calls);
    expect(answers.length).toBe(calls.length);
    const seen = probes.map(({ end, cmd }, i) => ({
      end,
      cmd,
      refusesEnd: answers[2 * i + 1] === -uapi.EINVAL,
      takesRest: answers[2 * i] !== -uapi.EINVAL,
    }));
    expect(seen.filter((each) => !each.refusesEnd || !each.takesRest)).toEqual([]);
    expect(new Set([...ends.map(([end]) => `BPF_ATTR_${end}_END`), "BPF_ATTR_PROG_LOAD_END"])).toEqual(
      new Set([...numbers.keys()].filter((name) => /^BPF_ATTR_.*_END$/.test(name))),
    );
    // This one ends with attr itself.
    expect(uapi.BPF_ATTR_PROG_LOAD_END).toBe(uapi.BPF_ATTR_SIZE);

    for (const [end, , group, fields] of ends) {
      const layout = layoutOf(group);
      const edges = Object.keys(fields).map((field) => {
        const place = layout[field.toLowerCase()];
        return place === undefined ? Number.NaN : place.off + place.size;
      });
      expect([end, number(`BPF_ATTR_${end}_END`)]).toEqual([end, Math.max(...edges)]);
    }
  });

  it("answers ENOTSUPP", (context) => {
    need(context, lack.kernel ?? lack.compiler ?? lack.right);
    const fields = {
      MAP_TYPE: uapi.BPF_MAP_TYPE_LRU_HASH,
      KEY_SIZE: 4,
      VALUE_SIZE: 4,
      MAX_ENTRIES: 1,
      MAP_FLAGS: uapi.BPF_F_NO_PREALLOC,
    };
    expect(askKernel([{ cmd: uapi.BPF_MAP_CREATE, attr: attrOf("MAP_CREATE", fields) }])).toEqual([-uapi.ENOTSUPP]);
  });
});

describe("names", () => {
  it("are bpftool's for map types", (context) => {
    need(context, lack.bpftool);
    const help = spawnSync("bpftool", ["map", "help"], { encoding: "utf8" }).stderr;
    const words = /TYPE := \{([^}]*)\}/.exec(help)?.[1]?.match(/\w+/g) ?? [];
    expect(words.length).toBeGreaterThan(25);
    const wanted = words.map((word) => [word, number(`BPF_MAP_TYPE_${word.toUpperCase()}`)]);
    expect(words.map((word) => [word, uapi.mapTypeFromName(word)])).toEqual(wanted);
  });

  it("lead there and back", () => {
    const upTo = (end: number): number[] => Array.from({ length: end }, (_, index) => index);
    const types = upTo(uapi.__MAX_BPF_MAP_TYPE);
    expect(types.map((type) => uapi.mapTypeFromName(uapi.mapTypeName(type) ?? ""))).toEqual(types);
    const progTypes = upTo(uapi.__MAX_BPF_PROG_TYPE);
    expect(progTypes.map((type) => uapi.progTypeFromName(uapi.progTypeName(type) ?? ""))).toEqual(progTypes);
    const cmds = upTo(uapi.__MAX_BPF_CMD);
    expect(cmds.map((cmd) => number(uapi.cmdName(cmd)))).toEqual(cmds);
    expect(uapi.mapTypeName(uapi.BPF_MAP_TYPE_LRU_HASH)).toBe("lru_hash");
    expect(uapi.progTypeName(uapi.BPF_PROG_TYPE_XDP)).toBe("xdp");
    expect(uapi.cmdName(uapi.BPF_PROG_RUN)).toBe("BPF_PROG_TEST_RUN");
  });

  it("of what Linux has not are undefined, or say the number", () => {
    const unknown = [uapi.mapTypeName(-1), uapi.mapTypeName(99), uapi.progTypeName(99)];
    expect([...unknown, uapi.mapTypeFromName("cgroup_storage_deprecated"), uapi.progTypeFromName("")]).toEqual(
      Array.from({ length: 5 }),
    );
    expect(uapi.cmdName(99)).toBe("cmd 99");
    expect(uapi.errnoName(999)).toBe("errno 999");
    expect(uapi.errnoMessage(999)).toBe("Unknown error 999");
  });
});

describe("the files", () => {
  it("that kernel/ imports are AssemblyScript too: plain constants and nothing else", () => {
    for (const name of ["bpf", "errno", "offsets"]) {
      const text = readFileSync(join(root, "src", "uapi", `${name}.ts`), "utf8");
      const lines = text
        .replace(/\/\*\*[^]*?\*\//g, "")
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("// "));
      expect(lines.filter((line) => !/^export const \w+ = (-?\d+|0x[0-9a-f]+);$/.test(line))).toEqual([]);
    }
  });

  it("are what the generator writes", (context) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "scripts", "uapi.mjs"), "--check"], {
      encoding: "utf8",
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    need(context, stderr === "" ? undefined : stderr.trim());
  });
});
