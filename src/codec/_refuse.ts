/**
 * How a codec says no: "key.flows[3].bytes: wanted a u64 (bigint from 0 to ..., like 7n), found 7".
 */

/** What a value is, short enough for a message: `"abc"`, `7n`, `an array of 3`. */
export function found(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 48 ? `${value.slice(0, 45)}...` : value);
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      return value === null ? "null" : foundObject(value);
    default:
      return String(value);
  }
}

function foundObject(value: object): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = className(value);
  const article = /^[AEIOU](?!int)/.test(name) ? "an" : "a";
  return ArrayBuffer.isView(value) ? `${article} ${name} of ${value.byteLength} bytes` : `${article} ${name}`;
}

function className(value: object): string {
  const { constructor } = value;
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "Object";
}

/** What is thrown for a value of another type. */
export function wrongType(at: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`${at}: wanted ${wanted}, found ${found(value)}`);
}

/** What is thrown for a value of the type that is out of range, malformed or too long. */
export function wrongValue(at: string, wanted: string, value: unknown): RangeError {
  return new RangeError(`${at}: wanted ${wanted}, found ${found(value)}`);
}
