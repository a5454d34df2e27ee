/**
 * What a command is given: options, output, and a kernel, opened when it is first asked for.
 */
import type { Kernel } from "../kernels/kernel.js";
import { CommandFailure } from "./failures.js";
import type { Options } from "./options.js";
import { Output, type Io } from "./output.js";
import { Syscalls } from "./syscalls.js";

/** A kernel in use. */
interface Session {
  readonly bpf: Syscalls;
  /** Where the embedded kernel lives. */
  readonly image: string | undefined;
  /** Says whether the image was replaced since. */
  isStale(): boolean;
  /** Keeps what was changed, and closes. */
  close(): void;
}

/** One run of the command line: one command, or a batch of them. */
export class Context {
  readonly options: Options;
  readonly io: Io;
  readonly out: Output;
  #session: Session | undefined;

  constructor(options: Options, io: Io) {
    this.options = options;
    this.io = io;
    this.out = new Output(io, options);
  }

  /** Traps of bpftool are errors. */
  get strict(): boolean {
    return !this.options.bpftool;
  }

  /** The embedded kernel's image file, once open. */
  get image(): string | undefined {
    return this.#session?.image;
  }

  /**
   * Opens the kernel, or returns it when it is open.
   *
   * @param access "change" when the command may change it: then no other command changes the image meanwhile.
   */
  async open(access: "read" | "change"): Promise<Syscalls> {
    this.#session ??= await this.#openSession(access);
    return this.#session.bpf;
  }

  /** Opens the kernel for reading as it is now: an image that another command has replaced meanwhile is loaded again. */
  async look(): Promise<Syscalls> {
    if (this.#session?.isStale() === true) this.close();
    return this.open("read");
  }

  /** Closes the kernel; what was changed is kept. */
  close(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.close();
  }

  /** Closes the fds that a command left open. */
  closeFds(): void {
    this.#session?.bpf.closeAll();
  }

  /** Says what failed and ends the command. */
  fail(message: string, status = -1): never {
    this.out.error(message);
    throw new CommandFailure(status);
  }

  /** Ends the command where bpftool fails without a word. */
  failSilently(status = -1): never {
    throw new CommandFailure(status);
  }

  async #openSession(access: "read" | "change"): Promise<Session> {
    if (this.options.kernel === "linux") {
      const { LinuxKernel } = await import("../kernels/linux/index.js");
      const kernel = LinuxKernel.open();
      const bpf = this.#syscalls(kernel);
      const close = (): void => {
        bpf[Symbol.dispose]();
        kernel[Symbol.dispose]();
      };
      return { bpf, image: undefined, isStale: () => false, close };
    }
    const { Image, imagePath } = await import("./image.js");
    const image = await Image.open(imagePath(this.options.image, this.io.env, access), access);
    const bpf = this.#syscalls(image.kernel);
    const close = (): void => {
      try {
        bpf[Symbol.dispose]();
        if (bpf.changed) image.save();
      } finally {
        image.close();
      }
    };
    return { bpf, image: image.path, isStale: () => image.isStale(), close };
  }

  #syscalls(kernel: Kernel): Syscalls {
    const traces = this.options.debug && this.strict;
    return new Syscalls(kernel, traces ? (line) => this.io.err(`${line}\n`) : undefined);
  }
}
