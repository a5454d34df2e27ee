/**
 * How the command is used, in the words of its help.
 */
import type { Context } from "./context.js";

const OPTIONS = `
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-f|--bpffs} | {-d|--debug} | {-V|--version} |
                    {-n|--nomount} | {-B|--base-btf} FILE | --once | --kernel embedded|linux |
                    --image FILE | --bpftool }
`;

const HELP = `Usage: tsbpf [OPTIONS] map COMMAND [ARGUMENTS]   (see tsbpf map help)
       tsbpf [OPTIONS] prog COMMAND [ARGUMENTS]  (see tsbpf prog help)
       tsbpf [OPTIONS] btf COMMAND [ARGUMENTS]   (see tsbpf btf help)
       tsbpf [OPTIONS] batch file { FILE | - }
       tsbpf [OPTIONS] gen types OBJ [name NAME]
       tsbpf [OPTIONS] run OBJ --pcap FILE [--program NAME] [--repeat N]
       tsbpf [OPTIONS] version
       tsbpf help
${OPTIONS}
       -j, --json       JSON on standard output       -p, --pretty  the same, indented
       -f, --bpffs      show pinned names             -d, --debug   tell every bpf() call on standard error
       --once           live views (map top) look once
       --pcap FILE      run: the packets, a pcap or pcapng capture; the program of an object that takes packets
                        (--program NAME, if it has several) sees each of them (--repeat N times), in a kernel of its own
       -B, --base-btf FILE  what split BTF builds on
       --kernel KERNEL  the embedded kernel, or the Linux kernel of this machine (TSBPF_KERNEL; embedded)
       --image FILE     where the embedded kernel is kept between commands (TSBPF_IMAGE;
                        $XDG_STATE_HOME/tsbpf/kernel.image)
       --bpftool        bpftool's behaviour to the letter: bytes, numbers and names that do not fit are cut,
                        an absent key is null in JSON, a name that no map has is passed over in silence

       Nothing is ever mounted: names are pinned in a BPF file system that is there, on the embedded kernel
       in its own, below /sys/fs/bpf.

       Exit status: 0 done; 255 the command is wrong, or what it names cannot be had; else 256 less the errno
       that the kernel answered: 254 ENOENT (no such key), 239 EEXIST, 249 E2BIG (the map is full), 234 EINVAL.
`;

const MAP_HELP = `Usage: tsbpf map { show | list } [MAP]
       tsbpf map create  FILE type TYPE key KEY_SIZE value VALUE_SIZE entries MAX_ENTRIES name NAME
                         [flags FLAGS] [inner_map MAP] [dev NAME]
       tsbpf map dump    MAP
       tsbpf map update  MAP [key DATA] [value VALUE] [UPDATE_FLAGS]
       tsbpf map lookup  MAP [key DATA]
       tsbpf map getnext MAP [key DATA]
       tsbpf map delete  MAP key DATA
       tsbpf map pin     MAP FILE
       tsbpf map peek    MAP
       tsbpf map { push | enqueue } MAP value VALUE
       tsbpf map { pop | dequeue }  MAP
       tsbpf map freeze  MAP
       tsbpf map event_pipe MAP [cpu N index M]
       tsbpf map unpin   FILE
       tsbpf map top     [MAP] [LOOKS] [sort FIELD]
       tsbpf map watch   MAP [LOOKS]
       tsbpf map help

       MAP := { id MAP_ID | pinned FILE | name MAP_NAME }
       DATA := { [hex] BYTES }
       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
       VALUE := { DATA | MAP | PROG }: a MAP in maps of maps, a PROG in a prog_array
       UPDATE_FLAGS := { any | exist | noexist }
       LOOKS := [interval SECONDS] [count N] [limit ELEMS]: 1 second, until q or ctrl-c; maps of more than
                10000 elements are not read whole (limit 0: they are); --once is count 1
       FIELD := { rate | pressure | count | memlock | id | name | type }
       TYPE := { hash | array | percpu_hash | percpu_array | ... }: bpf_map_type of <linux/bpf.h> in small letters
       Words may be abbreviated: tsbpf map sh n counts. Numbers: 10, 0x0a, 012; after hex: 0a.
${OPTIONS}`;

const PROG_HELP = `Usage: tsbpf prog { show | list } [PROG]
       tsbpf prog dump xlated PROG [{ file FILE | opcodes | linum }]
       tsbpf prog pin  PROG FILE
       tsbpf prog { load | loadall } OBJ PATH [type TYPE] [map { idx IDX | name NAME } MAP] [pinmaps MAP_DIR]
       tsbpf prog run  PROG data_in FILE [data_out FILE [data_size_out L]]
                       [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] [repeat N]
       tsbpf prog help

       MAP := { id MAP_ID | pinned FILE | name MAP_NAME }
       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
       OBJ: an object file, as clang -g -O2 -target bpf -c makes it
       PATH: where the first program of the object is pinned, or with loadall the directory of all
       TYPE := { xdp | tc | socket | tracepoint | raw_tracepoint | kprobe | syscall | ... }: as sections are named
       FILE of data and contexts: - is standard input or output
${OPTIONS}`;

const BTF_HELP = `Usage: tsbpf btf { show | list } [id BTF_ID]
       tsbpf btf dump BTF_SRC [format FORMAT]
       tsbpf btf help

       BTF_SRC := { id BTF_ID | prog PROG | map MAP [{ key | value | kv | all }] | file FILE }
       FILE: BTF as it is, as /sys/kernel/btf/vmlinux, or an ELF object that has it
       FORMAT := { raw | c }
       MAP := { id MAP_ID | pinned FILE | name MAP_NAME }
       PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }
${OPTIONS}`;

const GEN_HELP = `Usage: tsbpf gen types OBJ [name NAME]
       tsbpf gen help

       types: TypeScript on standard output: types of what the maps and variables of an object file hold, and a
       class NAME, the file's name unless told, that opens it and has its maps, programs and variables typed
${OPTIONS}`;

/** tsbpf gen help */
export function genHelp(context: Context): void {
  context.out.usage(GEN_HELP);
}

/** Shows how `gen` is used, to who used it wrongly. */
export function genUsage(context: Context): never {
  genHelp(context);
  return context.failSilently();
}

/** tsbpf help */
export function help(context: Context): void {
  context.out.usage(HELP);
}

/** tsbpf map help */
export function mapHelp(context: Context): void {
  context.out.usage(MAP_HELP);
}

/** Shows how `map` is used, to who used it wrongly. */
export function mapUsage(context: Context): never {
  mapHelp(context);
  return context.failSilently();
}

/** tsbpf prog help */
export function progHelp(context: Context): void {
  context.out.usage(PROG_HELP);
}

/** Shows how `prog` is used, to who used it wrongly. */
export function progUsage(context: Context): never {
  progHelp(context);
  return context.failSilently();
}

/** tsbpf btf help */
export function btfHelp(context: Context): void {
  context.out.usage(BTF_HELP);
}

/** Shows how `btf` is used, to who used it wrongly. */
export function btfUsage(context: Context): never {
  btfHelp(context);
  return context.failSilently();
}

/** Shows how the command is used, to who used it wrongly. */
export function usage(context: Context): never {
  help(context);
  return context.failSilently();
}
