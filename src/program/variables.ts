/**
 * Global variables of an object: part of the one elem of an array for each section of data.
 */
import { codecFromBtf } from "../btf/codec_from_btf.js";
import type { Btf } from "../btf/btf.js";
import type { Codec } from "../codec/codec.js";
import type { UserBuffer } from "../kernels/kernel.js";
import type { MapDefinition } from "./map_definitions.js";
import { ObjectError } from "./object_error.js";

/** Where a section's variables are: its contents before it is loaded, the map's memory after. */
export type Memory = (map: MapDefinition) => Pick<UserBuffer, "bytes"> | undefined;

/** A global variable. What its type is to JavaScript, BTF tells when the object is read; `tsbpf gen types` writes it down for compilers. */
export class Variable<T = unknown> {
  readonly name: string;
  /** The section that it lies in: ".rodata", ".data", ".bss". */
  readonly section: string;
  /** Whether programs, and after `load` nobody, can change it. */
  readonly isConst: boolean;
  readonly codec: Codec<T>;
  readonly #offset: number;
  readonly #map: MapDefinition;
  readonly #memory: Memory;

  constructor(name: string, map: MapDefinition, offset: number, codec: Codec<T>, memory: Memory) {
    this.name = name;
    this.section = map.name;
    this.isConst = map.isFrozen;
    this.codec = codec;
    this.#offset = offset;
    this.#map = map;
    this.#memory = memory;
  }

  /** What it is now: after `load` what programs see. Other than of integers, half of a change may be seen. */
  get(): T {
    return this.codec.read(this.#view(), this.#offset);
  }

  /**
   * Changes it: before `load` what it is to begin with, then what programs see from now on.
   *
   * @throws {TypeError | RangeError} for a value that its type does not take
   * @throws {ObjectError} It is const, and loaded
   */
  set(value: T): void {
    if (this.isConst && this.#memory(this.#map) !== undefined) {
      throw new ObjectError(`Cannot set variable "${this.name}": it is const, and loaded; set it before load`);
    }
    this.codec.write(this.#view(), this.#offset, value, this.name);
  }

  #view(): DataView {
    const { buffer, byteOffset, byteLength } = this.#memory(this.#map)?.bytes ?? this.#map.contents!;
    return new DataView(buffer, byteOffset, byteLength);
  }
}

/** All variables of sections of data, by name. */
export function variablesOf(btf: Btf, maps: readonly MapDefinition[], memory: Memory): Record<string, Variable> {
  const variables: Record<string, Variable> = {};
  for (const map of maps) {
    const section = map.contents === undefined ? undefined : btf.type(map.valueType);
    if (section?.kind !== "DATASEC") continue;
    for (const { type, offset } of section.vars) {
      const variable = btf.type(type);
      if (variable.kind !== "VAR") continue;
      const { name } = variable;
      variables[name] = new Variable(name, map, offset, codecFromBtf(btf, variable.type), memory);
    }
  }
  return variables;
}
