/**
 * What the verifier's sentences mean, and what to do: one table, the first row that fits. The sentences are Linux's, of 5.x to 6.18.
 */

/** A sentence of the verifier's, and what to tell who wrote the program. */
interface AdviceRow {
  readonly when: RegExp;
  readonly advice: string;
}

const rows: readonly AdviceRow[] = [
  {
    when: /invalid mem access '\w*_or_null'/,
    advice: "the pointer may be NULL: compare it with NULL before it is used",
  },
  {
    when: /invalid access to packet/,
    advice: "the packet may end before: compare with data_end first, as in if (data + n > data_end) return",
  },
  {
    when: /R0 !read_ok/,
    advice: "the program ends without a value to return: set it on every way to exit",
  },
  {
    when: /R[1-5] !read_ok/,
    advice:
      "the register has no value here: it was never set on this way, or a call has taken it (calls keep r6 to r9 only)",
  },
  { when: /R\d+ !read_ok/, advice: "the register, or the variable in it, has no value on this way: set it first" },
  {
    when: /invalid (indirect )?read from stack (R\d+ )?off -?\d+\+|uninitialized/i,
    advice: "what is read there was not written in all its bytes: set the whole variable, padding too (memset, = {})",
  },
  {
    when: /invalid (indirect |zero-size )?(access to|write to|read from|variable-offset .*) stack|invalid stack|stack limit|combined stack size|stack size .* too large/i,
    advice: "the stack has 512 bytes, for all functions that call each other together: keep large data in a map",
  },
  {
    when: /min value is negative|unbounded min value/,
    advice: "the number may be negative: make it unsigned, or compare it with 0 first",
  },
  {
    when: /outside of the (allowed memory|array) range|invalid access to map value|unbounded memory access|invalid access to memory/,
    advice: "the index or the size may be too large: compare it with the size first, or mask it (i &= SIZE - 1)",
  },
  {
    when: /invalid access to (map key|mem|buffer)|exceeds? .*bounds/,
    advice: "the access goes beyond what the pointer points to: check the size",
  },
  {
    when: /invalid mem access '(scalar|inv)'/,
    advice:
      "a number is used as a pointer: the kernel's memory is read by bpf_probe_read_kernel, and pointers lose what is known of them where they are computed from numbers",
  },
  {
    when: /type=(\S+) expected=|expected pointer to|arg#\d+ (expected|must)|R\d+ must (point|be)|must be referenced/,
    advice: "the argument is not of the kind that the helper or the function takes",
  },
  {
    when: /back-edge|infinite loop/,
    advice: "the loop must end for the verifier to see: give it a constant bound, or take bpf_loop or bpf_for",
  },
  {
    when: /too large\. Processed|too complex|BPF program is too large|too many (states|instructions)/,
    advice: "the verifier has looked at a million instructions: shorten loops, take bpf_loop, or split the program",
  },
  {
    when: /GPL.?(compatible|restricted|-only)|non-GPL/,
    advice: 'the helper is for programs of a license that goes with the GPL: char _license[] SEC("license") = "GPL"',
  },
  {
    when: /unknown func|cannot use helper|invalid func|helper call is not allowed/,
    advice: "programs of this type have no such helper in this kernel",
  },
  {
    when: /kernel function|kfunc/,
    advice: "programs of this type may not call the kernel's function, or this kernel has none of the kind",
  },
  {
    when: /[Uu]nreleased reference/,
    advice: "what the program has taken must be given back on every way: submit or discard a record, release a socket",
  },
  {
    when: /At program exit|At callback return|should have been in/,
    advice: "programs of this type return one of certain values: see the range in the verifier's words",
  },
  {
    when: /invalid bpf_context access/,
    advice:
      "the context of programs of this type has no such field, or it is read in another size, or may not be written",
  },
  {
    when: /(modified|dereference of) .*ctx|ctx ptr|variable ctx/,
    advice:
      "the context is read by constant offsets from the pointer as it was given: keep that one, and do not compute with it",
  },
  {
    when: /write into|cannot write|read-?only/,
    advice: "what is there may be read only: const variables, and maps with BPF_F_RDONLY_PROG",
  },
  {
    when: /pointer [-+*/&|^%<>]*= pointer|pointer (arithmetic|comparison|operation)|math between|bitwise operator|arithmetic prohibited|\w+ on .*pointer|partial copy of pointer|subtract .*pointer/,
    advice: "the verifier does not follow this way to compute with a pointer: add a bounded number to it, and no more",
  },
  { when: /leaks addr/, advice: "an address of the kernel must not get to where user space can read it" },
  { when: /unreachable insn/, advice: "there are instructions that no way leads to" },
  { when: /misaligned/, advice: "the access must lie at a multiple of its size" },
  {
    when: /spin_lock|holding a lock|lock/,
    advice: "between bpf_spin_lock and bpf_spin_unlock nothing is called, and each lock is given back on every way",
  },
  {
    when: /jump out of range|unknown opcode|invalid insn|uses reserved fields|last insn is not|invalid BPF_LD_IMM/,
    advice: "the instructions are damaged, or newer than this kernel (compile with an earlier -mcpu)",
  },
  {
    when: /frame pointer is read only/,
    advice: "r10 is the stack's top and stays as it is: copy it, and add to the copy",
  },
];

/** What to do about a refusal, by the verifier's words for it; undefined where nothing is known. */
export function adviceFor(reason: string): string | undefined {
  return rows.find(({ when }) => when.test(reason))?.advice;
}
